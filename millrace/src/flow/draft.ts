/**
 * The graph of a flow while it is being built. A draft is a node that knows its inputs but not yet its number; scopes hold the
 * drafts of the flow and of the bodies of its iterates. `numberNodes` makes plan nodes of those that something uses.
 *
 * A draft belongs to the innermost scope of its inputs; what comes from an outer scope is read through an IterationInputNode.
 */
import { MillraceError } from '../core/errors.ts';
import { PLAN_NODES_MAX } from '../core/limits.ts';
import { isPresent } from './functions.ts';
import type { PlanNode } from './plan.ts';

/** A plan node without its number, name and inputs. */
export type NodeContent = PlanNode extends infer Node
  ? Node extends PlanNode
    ? Omit<Node, 'id' | 'name' | 'inputs'>
    : never
  : never;

export interface Draft {
  readonly scope: Scope;
  readonly content: NodeContent;
  readonly inputs: readonly Draft[];
  /** undefined: one is made up. */
  readonly name: string | undefined;
  /** Something that it reads, directly or not, is a topic: its records have times, and it need not end. */
  readonly isEndless: boolean;
}

/** What all scopes of a flow share. */
export class FlowScope {
  readonly flowName: string;
  readonly writes: Draft[] = [];
  readonly names = new Set<string>();
  /** Tables that were used as streams, and the streams of their values. */
  readonly records = new Map<Draft, Draft>();
  nodes = 0;
  /** The body that is being built, or the flow itself. */
  current: Scope | undefined;

  constructor(flowName: string) {
    this.flowName = flowName;
  }
}

/** The flow itself, or the body of an iterate. */
export class Scope {
  readonly flow: FlowScope;
  readonly parent: Scope | undefined;
  /** For errors: `iterate "ranks"`, or undefined for the flow itself. */
  readonly label: string | undefined;
  readonly drafts: Draft[] = [];
  /** What a body makes its result of: input 0. */
  first: Draft | undefined;
  /** Streams of the parent that the body uses, and the inputs through which it reads them: 1, 2, … */
  readonly imports = new Map<Draft, Draft>();
  isClosed = false;

  constructor(flow: FlowScope, parent: Scope | undefined, label: string | undefined) {
    this.flow = flow;
    this.parent = parent;
    this.label = label;
  }

  /** The draft as this scope sees it: itself, or the input through which it comes in. */
  import(draft: Draft): Draft {
    if (draft.scope === this || this.parent === undefined) return draft;
    const outer = this.parent.import(draft);
    const known = this.imports.get(outer);
    if (known !== undefined) return known;
    const inner = this.add({ kind: 'iterationInput', index: this.imports.size + 1 }, [], undefined);
    this.imports.set(outer, inner);
    return inner;
  }

  add(content: NodeContent, inputs: readonly Draft[], name: string | undefined): Draft {
    if (++this.flow.nodes > PLAN_NODES_MAX) {
      throw new MillraceError(
        'ML_FLOW_INVALID',
        `flow "${this.flow.flowName}" has more than ${PLAN_NODES_MAX} operators`,
        { hint: 'Does the program add operators in a loop? A plan describes the data as a whole' },
      );
    }
    const draft: Draft = Object.freeze({
      scope: this,
      content: Object.freeze(content),
      inputs: Object.freeze([...inputs]),
      name,
      isEndless: isEndless(content, inputs),
    });
    this.drafts.push(draft);
    return draft;
  }

  /** How many scopes are around this one. */
  get depth(): number {
    return this.parent === undefined ? 0 : this.parent.depth + 1;
  }
}

/** What waits for the end of its input gives what has an end, without times. */
const NEED_AN_END: ReadonlySet<PlanNode['kind']> = new Set([
  'sort',
  'top',
  'group',
  'columnAggregate',
  'iterate',
]);

function isEndless(content: NodeContent, inputs: readonly Draft[]): boolean {
  if (content.kind === 'source') return content.source.topic !== undefined;
  return !NEED_AN_END.has(content.kind) && inputs.some((input) => input.isEndless);
}

export type HandleKind = 'stream' | 'keyed' | 'grouped' | 'windowed' | 'broadcast' | 'global';

const NEEDED: Readonly<Record<HandleKind, string>> = {
  stream: 'a stream without keys (`.values()` and `.entries()` make one of a keyed stream)',
  keyed: 'a stream with keys (`keyBy` gives it some)',
  grouped: 'what groupBy returns',
  windowed: 'what window returns',
  broadcast: 'what f.broadcast returns',
  global: 'what f.globalTable returns',
};

/** What the objects that users hold have in common: the draft that they stand for, which only the language can reach. */
export abstract class Handle {
  abstract readonly kind: HandleKind;
  readonly #draft: Draft;

  constructor(draft: Draft) {
    this.#draft = draft;
  }

  protected get draft(): Draft {
    return this.#draft;
  }

  /** The draft behind what a user gave to an operator. */
  static draftOf(operator: Operator, value: unknown, kind: HandleKind): Draft {
    if (value instanceof Handle && value.kind === kind) return value.#draft;
    throw flowError(operator, `what it is given must be ${NEEDED[kind]}`);
  }
}

/** An operator that is being added, for errors. */
export interface Operator {
  /** The method: `top`. */
  readonly method: string;
  readonly name: string | undefined;
  /** undefined: outside of any. */
  readonly flow: string | undefined;
}

/**
 * Adds a node that takes `inputs` to the innermost scope among theirs. What takes records that each stand for themselves, and is given
 * the changes of a table, gets the new values alone.
 */
export function addNode(
  operator: Operator,
  content: NodeContent,
  inputs: readonly Draft[],
  name?: string,
): Draft {
  const scope = innermost(operator, inputs);
  if (name !== undefined) claimName(operator, scope.flow, name);
  const takesRecords = TAKE_RECORDS.has(content.kind);
  return scope.add(
    content,
    inputs.map((input) => scope.import(takesRecords ? recordsOf(input) : input)),
    name,
  );
}

/** Nodes that are given the changes of a table as records, unless somebody said `toStream`. All others see a table as its rows. */
const TAKE_RECORDS: ReadonlySet<PlanNode['kind']> = new Set([
  'union',
  'sample',
  'table',
  'windowAggregate',
  'windowJoin',
  'globalJoin',
  'process',
  'asyncMap',
  'pattern',
  'dedupe',
]);

/** The records of a stream as they are; of a table, the values that are new. */
function recordsOf(draft: Draft): Draft {
  const { scope, content } = draft;
  const isGlobal = content.kind === 'table' && content.scope === 'global';
  if (content.isTable !== true || isGlobal) return draft;
  const known = scope.flow.records.get(draft);
  if (known !== undefined) return known;
  const changes = scope.add({ kind: 'toStream' }, [draft], undefined);
  const records = scope.add({ kind: 'filter', fn: isPresent }, [changes], undefined);
  scope.flow.records.set(draft, records);
  return records;
}

/** The innermost scope of the inputs: all others must be around it, and open. */
function innermost(operator: Operator, inputs: readonly Draft[]): Scope {
  let scope: Scope | undefined;
  for (const input of inputs) {
    if (scope === undefined || input.scope.depth > scope.depth) scope = input.scope;
  }
  if (scope === undefined) throw flowError(operator, 'it has no input');
  for (const input of inputs) requireVisible(operator, scope, input);
  return scope;
}

/** Refuses a stream that the scope cannot see: of a body or a flow that is done, or of another body. */
export function requireVisible(operator: Operator, scope: Scope, input: Draft): void {
  const own = input.scope;
  if (own.isClosed) throw flowError(operator, closedMessage(own));
  let at: Scope | undefined = scope;
  while (at !== undefined && at !== own) at = at.parent;
  if (at !== undefined) return;
  const isOther = own.flow !== scope.flow;
  throw flowError(
    operator,
    isOther
      ? `it is given a stream of another flow, "${own.flow.flowName}"`
      : `it is given a stream of the body of ${own.label}, which cannot be used here`,
  );
}

function closedMessage(scope: Scope): string {
  return scope.label === undefined
    ? 'its stream belongs to a flow that has been built already'
    : `its stream belongs to the body of ${scope.label} and cannot be used outside of it`;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export function claimName(operator: Operator, flow: FlowScope, name: unknown): void {
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw flowError(
      operator,
      'its name must be 1 to 100 letters, digits, dots, underscores or hyphens, beginning with a letter or digit',
    );
  }
  if (flow.names.has(name)) {
    throw flowError(operator, `the name "${name}" is taken by another operator of the flow`);
  }
  flow.names.add(name);
}

/** Whether it can name a flow. */
export function isName(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name);
}

export function flowError(operator: Operator, sentence: string, hint?: string): MillraceError {
  const { method, name, flow } = operator;
  const subject = name === undefined ? method : `${method} "${name}"`;
  const place = flow === undefined ? '' : `flow "${flow}"`;
  // What is wrong with a flow as a whole is no operator's.
  const parts = method === 'flow' && place !== '' ? [place] : [place, subject];
  const where = parts.filter((part) => part !== '').join(', ');
  return new MillraceError('ML_FLOW_INVALID', `${where}: ${sentence}`, {
    fields: { ...(flow === undefined ? {} : { flow }), operator: name ?? method },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Adds what `drafts` read, directly or not. */
function reachable(drafts: readonly Draft[]): Set<Draft> {
  const found = new Set<Draft>();
  const queue = [...drafts];
  for (let draft = queue.pop(); draft !== undefined; draft = queue.pop()) {
    if (found.has(draft)) continue;
    found.add(draft);
    queue.push(...draft.inputs);
  }
  return found;
}

export interface NumberedNodes {
  /** In topological order, numbered from 0. */
  readonly nodes: readonly PlanNode[];
  /** Streams of the parent scope that they read: input 1, 2, … */
  readonly imports: readonly Draft[];
  readonly idOf: (draft: Draft) => number;
}

/**
 * Makes nodes of the drafts of a scope that `ends` need; all others are dropped.
 * @param prefix of made-up names: unique, as the name of an iterate is
 */
export function numberNodes(scope: Scope, ends: readonly Draft[], prefix: string): NumberedNodes {
  const needed = reachable(scope.first === undefined ? ends : [scope.first, ...ends]);
  const kept = scope.drafts.filter((draft) => needed.has(draft));
  const ids = new Map(kept.map((draft, id) => [draft, id]));
  const imports = [...scope.imports].filter(([, inner]) => needed.has(inner));
  const indexes = new Map(imports.map(([, inner], index) => [inner, index + 1]));
  const idOf = (draft: Draft): number => {
    const id = ids.get(draft);
    if (id === undefined) throw new MillraceError('ML_ASSERT', 'a draft that was dropped is used');
    return id;
  };
  const nodes = kept.map((draft, id): PlanNode => {
    const { content } = draft;
    const fixed = {
      id,
      name: draft.name ?? madeUpName(scope.flow, prefix, content, id),
      inputs: Object.freeze(draft.inputs.map(idOf)),
    };
    const index = indexes.get(draft);
    const node = index === undefined ? content : { ...content, index };
    return Object.freeze({ ...fixed, ...node } as PlanNode);
  });
  return { nodes: Object.freeze(nodes), imports: imports.map(([outer]) => outer), idOf };
}

/** What nodes are called that are not called like their kind. */
const WORDS: Readonly<Partial<Record<PlanNode['kind'], string>>> = {
  source: 'read',
  iterationInput: 'input',
  columnAggregate: 'agg',
};

function madeUpName(flow: FlowScope, prefix: string, content: NodeContent, id: number): string {
  const word = WORDS[content.kind] ?? content.kind;
  let name = `${prefix}${word}-${id}`;
  // Somebody may have given that name to another operator.
  while (flow.names.has(name)) name += '-';
  return name;
}
