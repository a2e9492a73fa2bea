/**
 * Judges what clients of a broker saw (`kafka-history.ts`): reimplements the table of anomalies of reliability.md
 * section 4. It knows nothing of the broker: only what was asked, what was answered, and in which order.
 *
 * The version order of a partition is its offsets, as told by polls and by acknowledged sends, without the holes: the
 * rank of a value in it is its `index`, and two values are neighbours when their indexes are.
 */
import type {
  KafkaAnomaly,
  KafkaAnomalyName,
  KafkaCheckOptions,
  KafkaEvent,
  KafkaReport,
  Op,
  Partition,
} from './kafka-history.ts';
import { stronglyConnected, reaches } from './graph.ts';

/** An operation: its invocation and its completion put together. */
interface Operation {
  readonly id: number;
  readonly process: string;
  readonly f: KafkaEvent['f'];
  /** Positions in the history. */
  readonly invokedAt: number;
  readonly completedAt: number;
  readonly completedMs: number;
  readonly outcome: 'ok' | 'fail' | 'info';
  readonly ops: readonly Op[];
  /** The writes have happened: acknowledged, or not known but seen by somebody. */
  happened: boolean;
}

interface Writer {
  readonly operation: Operation;
  readonly offset: number;
}

interface PartitionModel {
  readonly name: Partition;
  /** Who sent a value. Values are unique, so there is one. */
  readonly writers: Map<string, Writer>;
  readonly polled: Map<string, Operation[]>;
  readonly valuesAt: Map<number, Set<string>>;
  /** Offsets in order; the position in it is the index. */
  offsets: number[];
  indexOf: Map<number, number>;
  indexesOfValue: Map<string, number[]>;
}

/** Kafka lets transactions interleave, and a subscribed reader jump at a rebalance. */
const ALLOWED: ReadonlySet<KafkaAnomalyName> = new Set([
  'G0',
  'G1c-ww',
  'G2',
  'G-single',
  'int-send-skip',
]);

export function checkKafkaHistory(
  events: readonly KafkaEvent[],
  options: KafkaCheckOptions,
): KafkaReport {
  return new KafkaChecker(operationsOf(events), options).check();
}

/** Pairs invocations with completions. What never completed is `info` at the end of time. */
function operationsOf(events: readonly KafkaEvent[]): Operation[] {
  const operations: Operation[] = [];
  const open = new Map<string, { event: KafkaEvent; at: number }>();
  const add = (event: KafkaEvent, invokedAt: number, completedAt: number): void => {
    operations.push({
      id: operations.length,
      process: event.process,
      f: event.f,
      invokedAt,
      completedAt,
      completedMs: event.timeMs,
      outcome: event.type === 'invoke' ? 'info' : event.type,
      ops: event.ops,
      happened: event.type === 'ok',
    });
  };
  events.forEach((event, at) => {
    const invoked = open.get(event.process);
    if (event.type === 'invoke') {
      if (invoked !== undefined) throw new Error(`process ${event.process} invoked twice`);
      open.set(event.process, { event, at });
      return;
    }
    if (invoked === undefined) throw new Error(`process ${event.process} completed nothing`);
    open.delete(event.process);
    // What timed out may still take effect at any later time.
    add(event, invoked.at, event.type === 'info' ? Number.POSITIVE_INFINITY : at);
  });
  for (const { event, at } of open.values()) add(event, at, Number.POSITIVE_INFINITY);
  return operations;
}

class KafkaChecker {
  private readonly operations: readonly Operation[];
  private readonly options: KafkaCheckOptions;
  private readonly partitions = new Map<Partition, PartitionModel>();
  private readonly bad: KafkaAnomaly[] = [];
  private readonly allowed: KafkaAnomaly[] = [];

  constructor(operations: readonly Operation[], options: KafkaCheckOptions) {
    this.operations = operations;
    this.options = options;
  }

  check(): KafkaReport {
    this.indexWritersAndReaders();
    this.settleUnknown();
    this.versionOrder();
    for (const partition of this.partitions.values()) {
      this.offsetsAndDuplicates(partition);
      this.lostAndUnseen(partition);
      this.realtime(partition);
    }
    this.tornTransactions();
    this.readsWithinOperations();
    this.orderPerProcess();
    this.endOffsets();
    this.committedOffsets();
    this.countedTwice();
    this.cycles();
    return this.report();
  }

  private report(): KafkaReport {
    const sends = this.operations.flatMap((operation) =>
      operation.ops.filter((op) => op[0] === 'send').map(() => operation.outcome),
    );
    let polled = 0;
    for (const partition of this.partitions.values()) polled += partition.polled.size;
    return {
      bad: this.bad,
      allowed: this.allowed,
      counts: {
        operations: this.operations.length,
        sends: sends.length,
        acknowledged: sends.filter((outcome) => outcome === 'ok').length,
        unknown: sends.filter((outcome) => outcome === 'info').length,
        polled,
      },
      lagMsMax: this.lagMsMax(),
    };
  }

  private say(name: KafkaAnomalyName, partition: Partition, detail: string): void {
    (ALLOWED.has(name) ? this.allowed : this.bad).push({ name, partition, detail });
  }

  private partition(name: Partition): PartitionModel {
    let partition = this.partitions.get(name);
    if (partition === undefined) {
      partition = {
        name,
        writers: new Map(),
        polled: new Map(),
        valuesAt: new Map(),
        offsets: [],
        indexOf: new Map(),
        indexesOfValue: new Map(),
      };
      this.partitions.set(name, partition);
    }
    return partition;
  }

  private indexWritersAndReaders(): void {
    for (const operation of this.operations)
      for (const op of operation.ops) {
        if (op[0] === 'send') {
          const { writers } = this.partition(op[1]);
          if (writers.has(op[2])) throw new Error(`value ${op[2]} was sent twice to ${op[1]}`);
          writers.set(op[2], { operation, offset: op[3] ?? -1 });
        } else if (op[0] === 'poll') {
          for (const [name, records] of Object.entries(op[1]))
            for (const [, value] of records) {
              const { polled } = this.partition(name);
              const readers = polled.get(value);
              if (readers === undefined) polled.set(value, [operation]);
              else readers.push(operation);
            }
        }
      }
  }

  /** An operation of unknown outcome has happened when somebody read one of its writes. */
  private settleUnknown(): void {
    for (const partition of this.partitions.values())
      for (const value of partition.polled.keys()) {
        const writer = partition.writers.get(value);
        if (writer?.operation.outcome === 'info') writer.operation.happened = true;
      }
  }

  private versionOrder(): void {
    const put = (partition: PartitionModel, offset: number, value: string): void => {
      const values = partition.valuesAt.get(offset);
      if (values === undefined) partition.valuesAt.set(offset, new Set([value]));
      else values.add(value);
    };
    for (const operation of this.operations)
      for (const op of operation.ops) {
        if (op[0] === 'send') {
          if (operation.happened && op[3] !== undefined) put(this.partition(op[1]), op[3], op[2]);
        } else if (op[0] === 'poll') {
          for (const [name, records] of Object.entries(op[1]))
            for (const [offset, value] of records) put(this.partition(name), offset, value);
        }
      }
    for (const partition of this.partitions.values()) {
      partition.offsets = [...partition.valuesAt.keys()].sort((a, b) => a - b);
      partition.offsets.forEach((offset, index) => {
        partition.indexOf.set(offset, index);
        for (const value of partition.valuesAt.get(offset) ?? []) {
          const indexes = partition.indexesOfValue.get(value);
          if (indexes === undefined) partition.indexesOfValue.set(value, [index]);
          else indexes.push(index);
        }
      });
    }
  }

  private offsetsAndDuplicates(partition: PartitionModel): void {
    for (const [offset, values] of partition.valuesAt)
      if (values.size > 1)
        this.say(
          'inconsistent-offsets',
          partition.name,
          `offset ${offset} is ${[...values].join(' and ')}`,
        );
    if (this.options.idempotent ?? true)
      for (const [value, indexes] of partition.indexesOfValue)
        if (indexes.length > 1)
          this.say(
            'duplicate',
            partition.name,
            `${value} is at offsets ${indexes.map((index) => partition.offsets[index]).join(', ')}`,
          );
    for (const [value, readers] of partition.polled) {
      const writer = partition.writers.get(value);
      if (writer === undefined) {
        this.say('phantom', partition.name, `${value} was read, never sent`);
        continue;
      }
      if (writer.operation.outcome === 'fail' && readers.some((reader) => reader.outcome === 'ok'))
        this.say('G1a', partition.name, `${value} was read, its operation failed`);
      if (writer.operation.f === 'txn' && readers.includes(writer.operation))
        this.say('precommitted-read', partition.name, `${value} was read by its own transaction`);
    }
  }

  private lostAndUnseen(partition: PartitionModel): void {
    let bound = -1;
    for (const value of partition.polled.keys())
      bound = Math.max(bound, partition.indexesOfValue.get(value)?.[0] ?? -1);
    for (const [value, writer] of partition.writers) {
      if (partition.polled.has(value)) continue;
      const last = partition.indexesOfValue.get(value)?.at(-1) ?? -1;
      if (writer.operation.happened && last >= 0 && last <= bound)
        this.say(
          'lost-write',
          partition.name,
          `${value} at offset ${partition.offsets[last]} was never read, later ones were`,
        );
      else if (this.options.drained && writer.operation.outcome === 'ok')
        this.say('unseen', partition.name, `${value} was acknowledged, and not read to the end`);
    }
  }

  /** Who was acknowledged before another was even asked comes first. */
  private realtime(partition: PartitionModel): void {
    const done: { at: number; index: number; value: string }[] = [];
    const asked: { at: number; index: number; value: string }[] = [];
    for (const [value, writer] of partition.writers) {
      const index = partition.indexesOfValue.get(value)?.[0];
      if (index === undefined || !writer.operation.happened) continue;
      asked.push({ at: writer.operation.invokedAt, index, value });
      if (writer.operation.outcome === 'ok')
        done.push({ at: writer.operation.completedAt, index, value });
    }
    done.sort((a, b) => a.at - b.at);
    asked.sort((a, b) => a.at - b.at);
    let highest = { at: -1, index: -1, value: '' };
    let next = 0;
    for (const send of asked) {
      for (let entry = done[next]; entry !== undefined && entry.at < send.at; entry = done[next]) {
        if (entry.index > highest.index) highest = entry;
        next++;
      }
      if (highest.index > send.index)
        this.say(
          'realtime',
          partition.name,
          `${send.value} lies before ${highest.value}, which was acknowledged before it was sent`,
        );
    }
  }

  private tornTransactions(): void {
    for (const operation of this.operations) {
      if (operation.f !== 'txn' || !operation.happened) continue;
      const sends = operation.ops.filter((op) => op[0] === 'send');
      const seen = sends.filter((op) => this.partition(op[1]).polled.has(op[2]));
      if (seen.length === 0 || seen.length === sends.length) continue;
      for (const [, name, value] of sends) {
        const partition = this.partition(name);
        if (partition.polled.has(value)) continue;
        const index = partition.indexesOfValue.get(value)?.[0] ?? -1;
        const passed = [...partition.polled.keys()].some(
          (other) => (partition.indexesOfValue.get(other)?.[0] ?? -1) > index,
        );
        if (this.options.drained || (index >= 0 && passed))
          this.say('torn-txn', name, `${value} is not there, others of its transaction are`);
      }
    }
  }

  /** Order of what one operation polled, and of what it sent. */
  private readsWithinOperations(): void {
    for (const operation of this.operations) {
      const lastPolled = new Map<Partition, number>();
      const lastSent = new Map<Partition, number>();
      for (const op of operation.ops) {
        if (op[0] === 'poll')
          for (const [name, records] of Object.entries(op[1]))
            for (const [offset, value] of records)
              this.step(lastPolled, name, offset, value, 'int-poll-skip', 'int-nonmonotonic-poll');
        if (op[0] === 'send' && op[3] !== undefined && operation.happened)
          this.step(lastSent, op[1], op[3], op[2], 'int-send-skip', 'int-nonmonotonic-send');
      }
    }
  }

  private step(
    last: Map<Partition, number>,
    name: Partition,
    offset: number,
    value: string,
    skip: KafkaAnomalyName,
    back: KafkaAnomalyName,
  ): void {
    const index = this.partition(name).indexOf.get(offset);
    if (index === undefined) return;
    const before = last.get(name);
    last.set(name, index);
    if (before === undefined) return;
    if (index > before + 1)
      this.say(skip, name, `${value} at ${offset} comes ${index - before - 1} too late`);
    else if (index <= before)
      this.say(back, name, `${value} at ${offset} comes after index ${before}`);
  }

  /** Order from one operation of a process to its next. */
  private orderPerProcess(): void {
    const processes = new Map<string, Operation[]>();
    for (const operation of this.operations.toSorted((a, b) => a.invokedAt - b.invokedAt)) {
      const list = processes.get(operation.process);
      if (list === undefined) processes.set(operation.process, [operation]);
      else list.push(operation);
    }
    for (const operations of processes.values()) this.orderOfProcess(operations);
  }

  private orderOfProcess(operations: readonly Operation[]): void {
    let polled = new Map<Partition, number>();
    const sent = new Map<Partition, number>();
    let subscribed = false;
    for (const operation of operations) {
      if (operation.f === 'assign' || operation.f === 'subscribe') {
        subscribed = operation.f === 'subscribe';
        polled = new Map();
        continue;
      }
      if (operation.outcome !== 'ok') {
        // It may or may not have moved the reader.
        if (operation.ops.some((op) => op[0] === 'poll')) polled = new Map();
        continue;
      }
      const sentBefore = new Map(sent);
      for (const op of operation.ops) {
        if (op[0] === 'poll') {
          for (const [name, records] of Object.entries(op[1])) {
            const first = records[0];
            const last = records.at(-1);
            if (first === undefined || last === undefined) continue;
            if (!subscribed)
              this.step(polled, name, first[0], first[1], 'poll-skip', 'nonmonotonic-poll');
            const index = this.partition(name).indexOf.get(last[0]);
            if (index !== undefined) polled.set(name, index);
          }
        } else if (op[0] === 'send' && op[3] !== undefined) {
          const index = this.partition(op[1]).indexOf.get(op[3]) ?? -1;
          const before = sentBefore.get(op[1]) ?? -1;
          if (index <= before)
            this.say('nonmonotonic-send', op[1], `${op[2]} at ${op[3]} lies before an earlier one`);
          sent.set(op[1], Math.max(sent.get(op[1]) ?? -1, index));
        }
      }
    }
  }

  private endOffsets(): void {
    const told: { name: Partition; offset: number; from: number; to: number }[] = [];
    for (const operation of this.operations)
      if (operation.outcome === 'ok')
        for (const op of operation.ops)
          if (op[0] === 'end')
            told.push({
              name: op[1],
              offset: op[2],
              from: operation.invokedAt,
              to: operation.completedAt,
            });
    told.sort((a, b) => a.to - b.to);
    const done = new Map<Partition, { to: number; offset: number }[]>();
    for (const entry of told) {
      const before = done.get(entry.name) ?? [];
      const highest = before
        .filter((other) => other.to < entry.from)
        .reduce((most, other) => Math.max(most, other.offset), -1);
      if (entry.offset < highest)
        this.say('end-went-back', entry.name, `end ${entry.offset} after ${highest}`);
      done.set(entry.name, [...before, entry]);
    }
  }

  /** A committed offset is a register: what is fetched is the last commit before it, or one that ran beside it. */
  private committedOffsets(): void {
    const commits = new Map<string, { offset: number; operation: Operation }[]>();
    for (const operation of this.operations)
      for (const op of operation.ops)
        if (op[0] === 'commit') {
          const key = `${op[1]} ${op[2]}`;
          commits.set(key, [...(commits.get(key) ?? []), { offset: op[3], operation }]);
        }
    for (const fetch of this.operations)
      for (const op of fetch.ops) {
        if (op[0] !== 'committed' || fetch.outcome !== 'ok') continue;
        const known = commits.get(`${op[1]} ${op[2]}`) ?? [];
        const before = known.filter(
          (commit) =>
            commit.operation.outcome === 'ok' && commit.operation.completedAt < fetch.invokedAt,
        );
        const last = before.reduce(
          (most, commit) => Math.max(most, commit.operation.invokedAt),
          -1,
        );
        const candidates = known.filter(
          (commit) =>
            commit.operation.outcome !== 'fail' &&
            commit.operation.invokedAt < fetch.completedAt &&
            commit.operation.completedAt > last,
        );
        if (candidates.some((commit) => commit.offset === op[3])) continue;
        if (op[3] === -1 && before.length === 0) continue;
        const written = known.some((commit) => commit.offset === op[3]);
        this.say(
          written || op[3] === -1 ? 'commit-regression' : 'commit-phantom',
          op[2],
          `group ${op[1]} is at ${op[3]}, expected ${candidates.map((c) => c.offset).join(' or ')}`,
        );
      }
  }

  private countedTwice(): void {
    const owners = new Map<string, number>();
    for (const operation of this.operations) {
      if (operation.outcome !== 'ok' && !operation.happened) continue;
      for (const op of operation.ops)
        if (op[0] === 'consumed')
          for (const offset of op[3]) {
            const key = `${op[1]} ${op[2]} ${offset}`;
            const owner = owners.get(key);
            if (owner !== undefined && owner !== operation.id)
              this.say(
                'eos-double-count',
                op[2],
                `offset ${offset} was consumed by two transactions of group ${op[1]}`,
              );
            owners.set(key, operation.id);
          }
    }
  }

  /** Dependencies between operations: ww from a value to its neighbour, wr from a writer to whose highest read it is,
   * rw from a reader to the writer of what comes after its highest read. */
  private cycles(): void {
    const count = this.operations.length;
    const ww: number[][] = Array.from({ length: count }, () => []);
    const wr: number[][] = Array.from({ length: count }, () => []);
    const rw: [number, number][] = [];
    const writerAt = (partition: PartitionModel, index: number): number => {
      const offset = partition.offsets[index];
      if (offset === undefined) return -1;
      const value = [...(partition.valuesAt.get(offset) ?? [])][0] ?? '';
      return partition.writers.get(value)?.operation.id ?? -1;
    };
    for (const partition of this.partitions.values())
      for (let index = 0; index + 1 < partition.offsets.length; index++) {
        const from = writerAt(partition, index);
        const to = writerAt(partition, index + 1);
        if (from >= 0 && to >= 0 && from !== to) ww[from]?.push(to);
      }
    for (const operation of this.operations) {
      if (operation.outcome !== 'ok') continue;
      for (const [name, highest] of highestReads(operation, (name) => this.partition(name))) {
        const partition = this.partition(name);
        const writer = writerAt(partition, highest);
        if (writer >= 0 && writer !== operation.id) wr[writer]?.push(operation.id);
        const next = writerAt(partition, highest + 1);
        if (next >= 0 && next !== operation.id) rw.push([operation.id, next]);
      }
    }
    const both = ww.map((targets, from) => [...targets, ...(wr[from] ?? [])]);
    this.sayCycles('G0', stronglyConnected(ww));
    const readCycles = stronglyConnected(wr);
    this.sayCycles('G1c', readCycles);
    if (readCycles.length === 0) this.sayCycles('G1c-ww', stronglyConnected(both));
    const all = both.map((targets) => [...targets]);
    for (const [from, to] of rw) all[from]?.push(to);
    for (const component of stronglyConnected(all)) {
      const inside = new Set(component);
      const edges = rw.filter(([from, to]) => inside.has(from) && inside.has(to));
      if (edges.length === 0) continue;
      const single = edges.some(([from, to]) => reaches(both, to, from));
      this.sayCycles(single ? 'G-single' : 'G2', [component]);
    }
  }

  private sayCycles(name: KafkaAnomalyName, components: readonly (readonly number[])[]): void {
    for (const component of components)
      this.say(
        name,
        '',
        component
          .slice(0, 10)
          .map((id) => `${this.operations[id]?.process}#${id}`)
          .join(' '),
      );
  }

  private lagMsMax(): number {
    let most = 0;
    for (const partition of this.partitions.values())
      for (const [value, readers] of partition.polled) {
        const writer = partition.writers.get(value)?.operation;
        const first = readers[0];
        if (writer?.outcome === 'ok' && first !== undefined)
          most = Math.max(most, first.completedMs - writer.completedMs);
      }
    return most;
  }
}

function highestReads(
  operation: Operation,
  partitionOf: (name: Partition) => PartitionModel,
): Map<Partition, number> {
  const highest = new Map<Partition, number>();
  for (const op of operation.ops)
    if (op[0] === 'poll')
      for (const [name, records] of Object.entries(op[1]))
        for (const [offset] of records) {
          const index = partitionOf(name).indexOf.get(offset) ?? -1;
          if (index > (highest.get(name) ?? -1)) highest.set(name, index);
        }
  return highest;
}
