/** Runs the function that describes a flow, and makes the plan of what it described. */
import { MillraceError } from '../core/errors.ts';
import { ITERATE_ROUNDS_MAX } from '../core/limits.ts';
import { type Counter, type FlowBuilder, type IterateOptions, UserCounter } from './builder.ts';
import {
  addNode,
  claimName,
  type Draft,
  FlowScope,
  flowError,
  Handle,
  isName,
  type NodeContent,
  numberNodes,
  type Operator,
  requireVisible,
  Scope,
} from './draft.ts';
import { fingerprintOf } from './fingerprint.ts';
import { described, functionOf, requireInteger, type UserFunction } from './operator-builder.ts';
import { Parameters, type ParameterValue } from './parameters.ts';
import type { ErrorPolicy, IterateNode, Plan, PlanNode } from './plan.ts';
import { columnsOfLayout, RowsBuilder } from './rows-builder.ts';
import type { Readable, Source } from './source.ts';
import {
  BroadcastBuilder,
  GlobalTableBuilder,
  KeyedBuilder,
  type StreamBuilder,
  type Surface,
  TableBuilder,
} from './stream-builders.ts';
import type { TableOptions } from './stream-options.ts';
import { latestOf } from './table-nodes.ts';
import { tableContent } from './timed-operators.ts';
import type { TopicPort } from './topic-port.ts';

export interface PlanRequest {
  readonly name: string;
  readonly onError: ErrorPolicy;
  readonly build: (f: FlowBuilder) => unknown;
  readonly settings: Readonly<Record<string, string>>;
}

/** @throws {MillraceError} ML_FLOW_INVALID, ML_PARAMETER_INVALID, ML_COLUMN_UNKNOWN */
export function buildPlan(request: PlanRequest): Plan {
  const { name, onError } = request;
  const scope = new FlowScope(name);
  const root = new Scope(scope, undefined, undefined);
  scope.current = root;
  const parameters = new Parameters(name, request.settings);
  const f = new FlowRoot(root, parameters);
  const operator: Operator = { method: 'flow', name: undefined, flow: name };
  refusePromise(operator, runBuilder(request, f));
  root.isClosed = true;
  parameters.close();
  if (scope.writes.length === 0) {
    throw flowError(
      operator,
      'nothing is written',
      "End at least one stream with .write(…): .write(files.lines('-')) prints it",
    );
  }
  const { nodes } = numberNodes(root, scope.writes, '');
  refuseEqualTargets(operator, nodes, onError);
  const content = { name, nodes, parameters: parameters.values(), onError };
  return Object.freeze({
    ...content,
    counters: Object.freeze([...f.counters.values()]),
    fingerprint: fingerprintOf(content),
  });
}

function runBuilder({ name, build }: PlanRequest, f: FlowRoot): unknown {
  try {
    return build(f as unknown as FlowBuilder);
  } catch (error) {
    if (error instanceof MillraceError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new MillraceError('ML_FLOW_INVALID', `flow "${name}": its builder threw: ${message}`, {
      cause: error,
      fields: { flow: name },
      hint: 'Correct the function that is given to flow(…)',
    });
  }
}

function refusePromise(operator: Operator, result: unknown): void {
  if (!(result instanceof Promise)) return;
  // Its failure is not seen anywhere else, and this error says what to do.
  result.catch(() => undefined);
  throw flowError(
    operator,
    'its builder must not be async: a plan is described without waiting for anything',
    'Load what the program needs before: `const x = await …;` at the top of the module',
  );
}

/** Outputs appear by one rename each: two of them at one place would replace one another. */
function refuseEqualTargets(
  operator: Operator,
  nodes: readonly PlanNode[],
  onError: ErrorPolicy,
): void {
  const sinks = nodes.flatMap((node) => (node.kind === 'write' ? [node.sink] : []));
  if (onError.kind === 'skip') sinks.push(onError.sink);
  const seen = new Set<string>();
  for (const { target } of sinks) {
    // Topics take the records of any number of streams.
    if (target.kind === 'stdout' || target.kind === 'topic') continue;
    const path = target.path.replace(/\/+$/, '');
    if (seen.has(path))
      throw flowError(
        operator,
        `two streams are written to ${path}`,
        'Give each output a path of its own',
      );
    seen.add(path);
  }
}

const COUNTER_HINT = 'Ask for it in the builder, outside of the functions that run on records';

/** What is behind `f`. */
class FlowRoot implements Surface<FlowBuilder> {
  readonly counters = new Map<string, UserCounter>();
  readonly #root: Scope;
  readonly #parameters: Parameters;
  /** A topic is read once, however often the program reads it. */
  readonly #topics = new Map<TopicPort, Draft>();

  constructor(root: Scope, parameters: Parameters) {
    this.#root = root;
    this.#parameters = parameters;
  }

  read(from: Readable): StreamBuilder {
    const operator = this.#operator('read');
    const source = sourceOf(operator, from);
    return new RowsBuilder(this.#addSource(operator, source), columnsOfLayout(source.columns));
  }

  readKeyed(from: Readable): KeyedBuilder {
    const operator = this.#operator('readKeyed');
    return new KeyedBuilder(this.#addSource(operator, sourceOf(operator, from)));
  }

  table(from: Readable, options: TableOptions = {}): TableBuilder {
    const source = sourceOf(this.#operator('table', options.name), from);
    const name = options.name ?? source.topic?.name;
    const operator = this.#operator('table', name);
    const read = this.#addSource(operator, source);
    if (source.topic === undefined) return new TableBuilder(latestOf(operator, read, options));
    return new TableBuilder(
      this.#addTable(operator, read, tableContent(operator, 'partition', options)),
    );
  }

  globalTable(from: Readable, options: Pick<TableOptions, 'name'> = {}): GlobalTableBuilder {
    const source = sourceOf(this.#operator('globalTable', options.name), from);
    const operator = this.#operator('globalTable', options.name ?? source.topic?.name);
    if (source.topic === undefined) {
      throw flowError(operator, `it is the table of a topic, and ${source.label} is none`);
    }
    this.#refuseClosed(operator);
    // A source of its own: it is read to its end before anything else is.
    const read = this.#root.add({ kind: 'source', source }, [], undefined);
    const content = tableContent(operator, 'global', {});
    return new GlobalTableBuilder(this.#addTable(operator, read, content));
  }

  #addTable(operator: Operator, read: Draft, content: NodeContent): Draft {
    const { name } = operator;
    if (name !== undefined && isName(name) && read.scope.flow.names.has(name)) {
      throw flowError(
        operator,
        `the name "${name}" is taken by another operator of the flow`,
        "A table is called after its topic unless it is given a name: { name: 'customers-now' }",
      );
    }
    return addNode(operator, content, [read], name);
  }

  param(name: string, fallback: ParameterValue): ParameterValue {
    return this.#parameters.value(name, fallback);
  }

  counter(name: string): Counter {
    const operator = this.#operator('counter', name);
    if (typeof name !== 'string' || name === '' || name.length > 100) {
      throw flowError(operator, 'its name must be a text of 1 to 100 characters');
    }
    const known = this.counters.get(name);
    if (known === undefined && this.#root.isClosed) {
      throw flowError(operator, 'the flow has been built already', COUNTER_HINT);
    }
    const counter = known ?? new UserCounter(name);
    this.counters.set(name, counter);
    return counter;
  }

  broadcast(name: string, side: unknown): BroadcastBuilder {
    const operator = this.#operator('broadcast', name);
    const isKeyed = kindOf(side) === 'keyed';
    const input = Handle.draftOf(operator, side, isKeyed ? 'keyed' : 'stream');
    if (operator.name === undefined) throw flowError(operator, 'its first argument is its name');
    const form = isKeyed ? 'map' : 'array';
    return new BroadcastBuilder(addNode(operator, { kind: 'broadcast', form }, [input], name));
  }

  iterate(
    name: string,
    start: unknown,
    options: IterateOptions<never>,
    body: UserFunction,
  ): StreamBuilder | TableBuilder {
    const operator = this.#operator('iterate', name);
    const isKeyed = kindOf(start) === 'keyed';
    const kind = isKeyed ? 'keyed' : 'stream';
    const first = Handle.draftOf(operator, start, kind);
    const ending = endingOf(operator, options);
    const outside = this.#root.flow.current ?? this.#root;
    requireVisible(operator, outside, first);
    claimName(operator, outside.flow, name);
    const scope = new Scope(outside.flow, outside, `iterate "${name}"`);
    const current = scope.add({ kind: 'iterationInput', index: 0 }, [], undefined);
    scope.first = current;
    outside.flow.current = scope;
    const run = functionOf(operator, body, 'the body') as (current: unknown) => unknown;
    const next = run(isKeyed ? new TableBuilder(current) : new RowsBuilder(current));
    outside.flow.current = outside;
    refusePromise(operator, next);
    const last = Handle.draftOf(operator, next, kind);
    requireVisible(operator, scope, last);
    const result = scope.import(last);
    const { nodes, imports, idOf } = numberNodes(scope, [result], `${name}.`);
    scope.isClosed = true;
    const content = { kind: 'iterate', body: nodes, result: idOf(result), ...ending } as const;
    const inputs = [outside.import(first), ...imports];
    const draft = outside.add(content, inputs, name);
    return isKeyed ? new TableBuilder(draft) : new RowsBuilder(draft);
  }

  #refuseClosed(operator: Operator): void {
    if (this.#root.isClosed) throw flowError(operator, 'the flow has been built already');
  }

  #addSource(operator: Operator, source: Source): Draft {
    this.#refuseClosed(operator);
    const { topic } = source;
    const known = topic === undefined ? undefined : this.#topics.get(topic);
    if (known !== undefined) return known;
    const draft = this.#root.add({ kind: 'source', source }, [], undefined);
    if (topic !== undefined) this.#topics.set(topic, draft);
    return draft;
  }

  #operator(method: string, name?: unknown): Operator {
    const flow = this.#root.flow.flowName;
    return { method, name: typeof name === 'string' ? name : undefined, flow };
  }
}

function kindOf(handle: unknown): string | undefined {
  return handle instanceof Handle ? handle.kind : undefined;
}

function endingOf(
  operator: Operator,
  options: IterateOptions<never>,
): Pick<IterateNode, 'rounds' | 'isFixpoint' | 'until'> {
  const { rounds, fixpoint = false, until } = options;
  requireInteger(operator, 'rounds', rounds, 1, ITERATE_ROUNDS_MAX);
  return {
    rounds,
    isFixpoint: fixpoint,
    until:
      until === undefined
        ? undefined
        : (functionOf(operator, until, 'until') as unknown as IterateNode['until']),
  };
}

/** The source behind what a program gave to be read. */
function sourceOf(operator: Operator, from: unknown): Source {
  const isReadable =
    typeof from === 'object' &&
    from !== null &&
    'source' in from &&
    typeof from.source === 'function';
  if (isReadable) return (from as Readable).source();
  throw flowError(
    operator,
    `what it is given cannot be read: it is ${described(from)}`,
    "Give it a place, such as files.lines('logs/*.log')",
  );
}
