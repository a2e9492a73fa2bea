/** A logical plan as text for people: one line for each operator, in order, those of an iteration indented below it. */
import { explainAggregate, explainExpression, explainFunction } from './explain-expression.ts';
import { isStreamNode, type Plan, type PlanNode, type SortOrder } from './plan.ts';
import { explainStreamNode, streamNodeKind } from './explain-stream-node.ts';

/**
 * The operators of a plan: name, kind, and what they do. Inputs are named where they are not just the line above.
 * @example
 * explainPlan(flow.plan())
 * // top-pages
 * //   read-0    read   lines logs/*.log
 * //   map-1     map    parseAccessLog
 * //   keyBy-2   keyBy  (hit) => hit.path
 * //   hits      count  per key
 * //   map-4     map    { key, value }
 * //   hits-top  top    10, largest first: value
 * //   write-6   write  ndjson out/top-pages
 */
export function explainPlan(plan: Plan): string {
  const parameters = Object.entries(plan.parameters).map(
    ([name, value]) => `  ${name} = ${JSON.stringify(value)}`,
  );
  const { onError } = plan;
  const skips =
    onError.kind === 'skip'
      ? [`  bad records go to ${onError.sink.label}, at most ${onError.recordsMax}`]
      : [];
  return [plan.name, ...parameters, ...skips, ...table(rowsOf(plan.nodes, '', []))].join('\n');
}

interface Row {
  readonly name: string;
  readonly kind: string;
  readonly what: string;
}

/** @param outer names of what an iteration reads, by input number */
function rowsOf(
  nodes: readonly PlanNode[],
  indent: string,
  outer: readonly string[],
): readonly Row[] {
  return nodes.flatMap((node, index) => {
    const inputs = node.inputs.map((id) => nodes[id]?.name ?? '');
    const isNext = inputs.length === 1 && node.inputs[0] === index - 1;
    const from = inputs.length === 0 || isNext ? '' : `← ${inputs.join(', ')}`;
    const row: Row = {
      name: `${indent}${node.name}`,
      kind: kindOf(node),
      what: [whatOf(node, outer), from].filter((part) => part !== '').join('  '),
    };
    return node.kind === 'iterate' ? [row, ...rowsOf(node.body, `${indent}  `, inputs)] : [row];
  });
}

function table(rows: readonly Row[]): readonly string[] {
  const nameWidth = Math.max(...rows.map((row) => row.name.length));
  const kindWidth = Math.max(...rows.map((row) => row.kind.length));
  return rows.map(({ name, kind, what }) =>
    `  ${name.padEnd(nameWidth)}  ${kind.padEnd(kindWidth)}  ${what}`.trimEnd(),
  );
}

const WORDS: Readonly<Partial<Record<PlanNode['kind'], string>>> = {
  source: 'read',
  iterationInput: 'input',
  columnAggregate: 'aggregate',
};

function kindOf(node: PlanNode): string {
  if (node.kind === 'aggregate' && node.builtin !== undefined) return node.builtin;
  if (node.kind === 'join') return `${node.type} join`;
  if (node.kind === 'map' || node.kind === 'flatMap')
    return node.keepsKey ? `${node.kind} values` : node.kind;
  return isStreamNode(node) ? streamNodeKind(node) : (WORDS[node.kind] ?? node.kind);
}

function whatOf(node: PlanNode, outer: readonly string[]): string {
  if (isStreamNode(node)) return explainStreamNode(node);
  switch (node.kind) {
    case 'source':
      return node.source.label;
    case 'write':
      return node.sink.label;
    case 'map':
    case 'flatMap':
    case 'filter':
    case 'tap':
    case 'keyBy':
    case 'with':
      return explainFunction(node.fn);
    case 'aggregate':
      return aggregateText(node);
    case 'group': {
      const order = node.sortValuesBy;
      const sorted = order === undefined ? '' : `, values by ${explainFunction(order.by)}`;
      return `per key: ${explainFunction(node.fn)}${sorted}${combineText(node.combine)}`;
    }
    case 'join':
      return node.strategy ?? '';
    case 'sort':
      return node.column === undefined
        ? orderText(node.order)
        : `${node.column}${down(node.order)}`;
    case 'top':
      return `${node.count}, ${node.order.descending ? 'largest' : 'smallest'} first: ${explainFunction(node.order.by)}`;
    case 'sample':
      return `${node.fraction}, seed ${node.seed}`;
    case 'broadcast':
      return `as ${node.form === 'map' ? 'a map' : 'an array'}`;
    case 'iterate':
      return endingText(node);
    case 'iterationInput':
      return node.index === 0 ? `${outer[0]}, then what a round gave` : (outer[node.index] ?? '');
    case 'where':
      return explainExpression(node.condition);
    case 'select':
      return namedText(node.columns, explainExpression);
    case 'explode':
      return `${node.column} = ${explainExpression(node.expression)}`;
    case 'columnAggregate': {
      const by = node.by.length === 0 ? 'all rows' : `by ${node.by.join(', ')}`;
      return `${by}: ${namedText(node.aggregates, explainAggregate)}`;
    }
    case 'union':
      return '';
  }
}

function aggregateText(node: Extract<PlanNode, { kind: 'aggregate' }>): string {
  const scope = node.isKeyed ? 'per key' : 'all records';
  if (node.builtin !== undefined) return scope;
  return `${scope}: ${explainFunction(node.add)}${combineText(node.merge)}`;
}

function combineText(combine: object | undefined): string {
  return combine === undefined ? '' : ', combined before it moves';
}

function endingText(node: Extract<PlanNode, { kind: 'iterate' }>): string {
  const until = node.until === undefined ? '' : `, until ${explainFunction(node.until)}`;
  const fixpoint = node.isFixpoint ? ', until nothing changes' : '';
  return `at most ${node.rounds} rounds${fixpoint}${until}`;
}

function orderText(order: SortOrder): string {
  return `by ${explainFunction(order.by)}${down(order)}`;
}

function down(order: SortOrder): string {
  return order.descending ? ', from large to small' : '';
}

function namedText<T>(
  members: Readonly<Record<string, T>>,
  explain: (member: T) => string,
): string {
  return Object.entries(members)
    .map(([name, member]) => {
      const text = explain(member);
      return text === name ? name : `${name} = ${text}`;
    })
    .join(', ');
}
