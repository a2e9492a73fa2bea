/**
 * The operators of a stage in one task, connected. Made anew when a task begins and after every abort: what operators hold in memory
 * beside their stores is then that of the last commit.
 *
 * They are made in the order of the records, since a node may ask the tables before it; each puts out into an Outlet, which is connected
 * when what is behind is there.
 */
import { assert } from '../../../core/errors.ts';
import type { Plan, PlanNode } from '../../../flow/plan.ts';
import type { Operator, OperatorContext, ReadableTable, Receiver } from '../operators/operator.ts';
import type { Exchange, StageNode, StreamStage } from '../topology.ts';
import { NodeContext, type TaskHost } from './node-context.ts';
import { Outlet } from './outlet.ts';
import { hasTimedResults, resultDelayMs, StageTime, type TimeLevel } from './stage-time.ts';

export type CreateOperator = (context: OperatorContext, role: StageNode['role']) => Operator;

export interface StageOperatorsOptions {
  readonly plan: Plan;
  readonly stage: StreamStage;
  readonly createOperator: CreateOperator;
  readonly host: TaskHost;
  /** A global table, or what was made of it. */
  readonly globalTable: (node: number) => ReadableTable | undefined;
}

export interface StageOperator {
  readonly name: string;
  readonly operator: Operator;
  readonly outlet: Outlet;
  readonly level: TimeLevel;
  readonly delayMs: number;
  /** It puts something out when T comes. */
  readonly hasTimed: boolean;
  readonly context: NodeContext;
}

/** Nodes to which nothing is ever due by event time. */
const TIMELESS: ReadonlySet<PlanNode['kind']> = new Set([
  'map',
  'flatMap',
  'filter',
  'tap',
  'keyBy',
  'union',
  'sample',
  'where',
  'select',
  'explode',
  'toStream',
  'asyncMap',
  'globalJoin',
]);

export class StageOperators {
  readonly time = new StageTime();
  readonly all: StageOperator[] = [];
  readonly #options: StageOperatorsOptions;
  readonly #byName = new Map<string, StageOperator>();
  readonly #outlets = new Map<string, Outlet>();
  /** Tables that are kept once more behind an exchange. */
  readonly #tables = new Map<Exchange, StageOperator>();
  /** Those whose functions may return promises. */
  readonly #waiting: Operator[] = [];
  readonly #exchanges: readonly Exchange[];

  constructor(options: StageOperatorsOptions) {
    this.#options = options;
    const { stage } = options;
    this.#exchanges = stage.inputs.flatMap(({ from }) =>
      from.kind === 'exchange' ? [from.exchange] : [],
    );
    for (const { from } of stage.inputs) {
      if (from.kind === 'source') this.#outlets.set(nameOf({ node: from.node }), new Outlet());
      else this.#openTable(from.exchange);
    }
    for (const at of stage.nodes) this.#open(at);
    for (const at of stage.nodes) this.#connect(at);
  }

  /** Takes the records of an input. */
  receiverOf(from: StreamStage['inputs'][number]['from']): Receiver {
    if (from.kind === 'source') return this.#outlet({ node: from.node });
    const { exchange } = from;
    const table = this.#tables.get(exchange);
    const outlet = table?.outlet ?? new Outlet();
    for (const { input, ...at } of exchange.to) outlet.connect(this.#inputOf(at, input));
    return table === undefined ? outlet : inputAt(table.operator, 0);
  }

  /** Has what leaves the stage there go to `exit`. */
  exit(from: StageNode, exit: Receiver): void {
    this.#outlet(from).connect(exit);
  }

  /** The table that a node makes. */
  tableOf(at: StageNode): ReadableTable | undefined {
    return this.#byName.get(nameOf(at))?.operator.table;
  }

  /** T of what a node puts out. */
  timeBehind(from: StageNode): number {
    const { now } = this.time;
    const known = this.#byName.get(nameOf(from));
    if (known === undefined) return now;
    const behind = known.operator.timeBehind ?? Number.POSITIVE_INFINITY;
    return Math.min(known.level.now, behind) - known.delayMs;
  }

  /**
   * What that will be when what waits comes out by itself, and not more; Infinity: nothing does. Some is due one millisecond behind its
   * time: until it is there, T must not come to the end of a window that has that time last.
   */
  until(from: StageNode): number {
    const known = this.#byName.get(nameOf(from));
    const delayMs = known === undefined ? 0 : known.level.delayMs + known.delayMs;
    return this.time.wanted - delayMs - 1;
  }

  get isFull(): boolean {
    for (const operator of this.#waiting) if (operator.isFull) return true;
    return false;
  }

  get pending(): number {
    let pending = 0;
    for (const operator of this.#waiting) pending += operator.pending;
    return pending;
  }

  /** Behind every record. */
  settle(): void {
    this.time.settle();
    if (this.#waiting.length > 0) this.#look();
  }

  /** Puts out what promises have given. */
  resume(): void {
    for (const operator of this.#waiting) {
      operator.resume?.();
      this.settle();
    }
  }

  /** @returns when the next one is due */
  tick(nowMs: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { operator } of this.all) {
      if (operator.nextTick <= nowMs) {
        operator.tick(nowMs);
        this.time.hasAdvanced = true;
        this.settle();
      }
      if (operator.nextTick < next) next = operator.nextTick;
    }
    return next;
  }

  close(): void {
    for (const { operator } of this.all) operator.close();
  }

  #look(): void {
    const wasWaiting = this.time.isWaiting;
    let isWaiting = false;
    for (const operator of this.#waiting) if (operator.pending > 0) isWaiting = true;
    this.time.isWaiting = isWaiting;
    if (!wasWaiting || isWaiting) return;
    // What was held back comes now.
    this.time.raise(this.time.now);
    this.settle();
  }

  #openTable(exchange: Exchange): void {
    if (exchange.table === undefined) return;
    const level = this.time.level(0, 0, []);
    const node = exchange.table;
    this.#tables.set(
      exchange,
      this.#make(node, { name: node.name, role: undefined, tables: [undefined], level }),
    );
  }

  #open(at: StageNode): void {
    const node = this.#node(at);
    const outlet = this.#outlets.get(nameOf(at)) ?? new Outlet();
    this.#outlets.set(nameOf(at), outlet);
    if (node.kind === 'sideOutput') return;
    const before = this.#before(node, at).flatMap((name) => this.#byName.get(name) ?? []);
    const delayMs = Math.max(0, ...before.map((one) => one.level.delayMs + one.delayMs));
    const holders = new Set(
      before.flatMap(({ level, operator }) =>
        operator.resume === undefined ? level.holders : [...level.holders, operator],
      ),
    );
    const depths = before.map(({ level, hasTimed }) => level.depth + (hasTimed ? 1 : 0));
    const level = this.time.level(delayMs, Math.max(0, ...depths), [...holders]);
    const tables = this.#tablesOf(node, at);
    const made = this.#make(node, { name: node.name, role: at.role, tables, level });
    this.#byName.set(nameOf(at), made);
    if (made.operator.resume !== undefined) this.#waiting.push(made.operator);
  }

  #make(
    node: PlanNode,
    made: Pick<StageOperator, 'name' | 'level'> & {
      readonly role: StageNode['role'];
      readonly tables: OperatorContext['tables'];
    },
  ): StageOperator {
    const { role, tables, level, name } = made;
    const outlet =
      this.#outlets.get(nameOf({ node: node.id, ...(role && { role }) })) ?? new Outlet();
    const context = new NodeContext({
      node,
      output: outlet,
      late: this.#sideOutput(node, 'late'),
      timedOut: this.#sideOutput(node, 'timedOut'),
      tables,
      level,
      host: this.#options.host,
      timeComes: () => this.time.raise(this.time.now),
      timeHasCome: () => this.time.settle(),
    });
    const operator = this.#options.createOperator(context, role);
    const delayMs = resultDelayMs(node);
    const hasTimed = hasTimedResults(node);
    const entry = { name, operator, outlet, level, delayMs, hasTimed, context };
    this.all.push(entry);
    if (!TIMELESS.has(node.kind)) level.timed.push(operator);
    return entry;
  }

  #sideOutput(node: PlanNode, output: 'late' | 'timedOut'): Outlet | undefined {
    const { plan, stage } = this.#options;
    const side = plan.nodes.find(
      (other) =>
        other.kind === 'sideOutput' && other.output === output && other.inputs[0] === node.id,
    );
    if (side === undefined || node.id < 0) return undefined;
    if (!stage.nodes.some((at) => at.node === side.id)) return undefined;
    const outlet = this.#outlets.get(nameOf({ node: side.id })) ?? new Outlet();
    this.#outlets.set(nameOf({ node: side.id }), outlet);
    return outlet;
  }

  /** Nodes of this stage whose records a node takes as they are. */
  #before(node: PlanNode, at: StageNode): readonly string[] {
    return localInputs(node, at)
      .filter(({ input }) => this.#exchangeTo(at, input) === undefined)
      .map(({ from }) => this.#placedName(from));
  }

  /** The name of the part of a node that puts out its result. */
  #placedName(node: number): string {
    const parts = this.#options.stage.nodes.filter((at) => at.node === node);
    return nameOf(parts.at(-1) ?? { node });
  }

  #tablesOf(node: PlanNode, at: StageNode): readonly (ReadableTable | undefined)[] {
    return localInputs(node, at, true).map(({ from, input }) => {
      const exchange = this.#exchangeTo(at, input);
      if (exchange !== undefined) return this.#tables.get(exchange)?.operator.table;
      const local = this.#byName.get(this.#placedName(from));
      return local?.operator.table ?? this.#options.globalTable(from);
    });
  }

  #connect(at: StageNode): void {
    const node = this.#node(at);
    if (node.kind === 'sideOutput') return;
    for (const { from, input } of localInputs(node, at)) {
      if (this.#exchangeTo(at, input) !== undefined) continue;
      const outlet = this.#outlets.get(this.#placedName(from));
      assert(outlet !== undefined, `what ${node.name} takes is in its stage`);
      outlet.connect(this.#inputOf(at, input));
    }
  }

  #exchangeTo(at: StageNode, input: number): Exchange | undefined {
    return this.#exchanges.find(({ to }) =>
      to.some((other) => other.node === at.node && other.role === at.role && other.input === input),
    );
  }

  #inputOf(at: StageNode, input: number): Receiver {
    const found = this.#byName.get(nameOf(at));
    assert(found !== undefined, 'an exchange leads to a node of the stage that reads it');
    return inputAt(found.operator, input);
  }

  #outlet(at: StageNode): Outlet {
    const outlet = this.#outlets.get(nameOf(at)) ?? this.#outlets.get(this.#placedName(at.node));
    assert(outlet !== undefined, 'an exit is of a node of its stage');
    return outlet;
  }

  #node({ node }: StageNode): PlanNode {
    const found = this.#options.plan.nodes[node];
    assert(found !== undefined, 'stages are of their plan');
    return found;
  }
}

/** What a node, or a part of one, takes without an exchange, unless one is before it. @param all also global tables */
function localInputs(
  node: PlanNode,
  { role }: StageNode,
  all = false,
): readonly { readonly from: number; readonly input: number }[] {
  if (role === 'collect' || role === 'aggregate') return [];
  if (role === 'match') return [{ from: node.inputs[1] ?? -1, input: 0 }];
  const inputs = node.inputs.map((from, input) => ({ from, input }));
  const isFirstOnly = role !== undefined || (node.kind === 'globalJoin' && !all);
  return isFirstOnly ? inputs.slice(0, 1) : inputs;
}

function nameOf({ node, role }: StageNode): string {
  return role === undefined ? String(node) : `${node} ${role}`;
}

function inputAt({ inputs }: Operator, input: number): Receiver {
  const receiver = inputs[input];
  assert(receiver !== undefined, 'an operator has the inputs of its node');
  return receiver;
}
