/** What an operator knows of its task. */
import type { Clock, Timers } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { PlanNode } from '../../../flow/plan.ts';
import type { OperatorContext, ReadableTable, Receiver } from '../operators/operator.ts';
import type { Store, StoreSpec, TaskState } from '../state/store.ts';
import type { TimeLevel } from './stage-time.ts';
import type { TaskFailures } from './task-failures.ts';

/** The task, from the side of its operators. */
export interface TaskHost {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly state: TaskState;
  readonly failures: TaskFailures;
  /** By store: the node that has it. */
  readonly owners: Map<string, string>;
  /** Something that waited is done. */
  readonly wake: () => void;
}

export interface NodeContextOptions {
  readonly node: PlanNode;
  readonly output: Receiver;
  readonly late: Receiver | undefined;
  readonly timedOut: Receiver | undefined;
  readonly tables: readonly (ReadableTable | undefined)[];
  readonly level: TimeLevel;
  readonly host: TaskHost;
  /** Of the stage: see `OperatorContext`. */
  readonly timeComes: () => void;
  readonly timeHasCome: () => void;
}

export class NodeContext implements OperatorContext {
  readonly node: PlanNode;
  readonly output: Receiver;
  readonly late: Receiver | undefined;
  readonly timedOut: Receiver | undefined;
  readonly tables: readonly (ReadableTable | undefined)[];
  readonly clock: Clock;
  readonly timers: Timers;
  readonly timeComes: () => void;
  readonly timeHasCome: () => void;
  /** Dropped for being late, for having no key, and for failing. */
  lateDropped = 0;
  nullDropped = 0;
  failures = 0;
  private readonly level: TimeLevel;
  private readonly host: TaskHost;

  constructor(options: NodeContextOptions) {
    this.node = options.node;
    this.output = options.output;
    this.late = options.late;
    this.timedOut = options.timedOut;
    this.tables = options.tables;
    this.level = options.level;
    this.host = options.host;
    this.clock = options.host.clock;
    this.timers = options.host.timers;
    this.timeComes = options.timeComes;
    this.timeHasCome = options.timeHasCome;
  }

  time(): number {
    return this.level.now;
  }

  store<V>(spec: StoreSpec<V>): Store<V> {
    const { owners } = this.host;
    const owner = owners.get(spec.name) ?? this.node.name;
    if (owner !== this.node.name)
      throw new MillraceError(
        'ML_FLOW_INVALID',
        `"${owner}" and "${this.node.name}" both keep their state as "${spec.name}"`,
        { fields: { operator: this.node.name }, hint: 'Give one of them another name' },
      );
    owners.set(spec.name, owner);
    return this.host.state.store(spec);
  }

  failed(error: unknown, record: unknown): void {
    this.failures++;
    const operator = this.node.name;
    this.host.failures.take(error, { operator, record, code: 'ML_USER_FUNCTION' });
  }

  get skips(): boolean {
    return this.host.failures.skips;
  }

  droppedLate(): void {
    this.lateDropped++;
  }

  droppedNull(): void {
    this.nullDropped++;
  }

  wake(): void {
    this.host.wake();
  }

  origin(): unknown {
    return this.host.failures.origin();
  }

  setOrigin(origin: unknown): void {
    this.host.failures.setOrigin(origin);
  }
}
