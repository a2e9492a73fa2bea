/**
 * The three parts of a join by foreign key, with partitions, and between them queues that are in order and take as long as somebody wants:
 * what repartition topics do. Messages go through bytes, as there.
 */
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { encodeKey } from '../../src/core/key-codec.ts';
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts';
import { createForeignJoin } from '../../src/engine/stream/joins/foreign-join.ts';
import type { OperatorContext } from '../../src/engine/stream/operators/operator.ts';
import type { ForeignJoinNode } from '../../src/flow/stream-nodes.ts';
import { TestTable } from './join-tables.ts';
import { OperatorHarness } from './operator-harness.ts';
import type { Emitted, HarnessStores } from './operator-harness.ts';

type Role = 'subscribe' | 'match' | 'collect';
interface Message {
  readonly key: unknown;
  readonly value: unknown;
  readonly time: number;
}

export class ForeignJoinWorld {
  readonly left = new TestTable();
  readonly changes: Emitted[] = [];
  readonly failures: OperatorHarness['failures'] = [];
  private readonly rights: TestTable[] = [];
  private readonly parts: Readonly<Record<Role, OperatorHarness[]>>;
  /** By where from and where to. Insertion order: what was first used. */
  private readonly queues = new Map<string, Message[]>();
  private readonly partitions: number;

  /** @param stores makes the stores of one part; default: oracle stores */
  constructor(node: ForeignJoinNode, partitions: number, stores?: () => HarnessStores) {
    this.partitions = partitions;
    const many = (
      role: Role,
      tablesOf: (index: number) => readonly TestTable[],
    ): OperatorHarness[] =>
      Array.from({ length: partitions }, (_, index) => {
        const create = (context: OperatorContext<ForeignJoinNode>) =>
          createForeignJoin(context, role);
        return new OperatorHarness(node, create, {
          tables: tablesOf(index),
          ...(stores !== undefined && { stores: stores() }),
        });
      });
    for (let index = 0; index < partitions; index++) this.rights.push(new TestTable());
    this.parts = {
      subscribe: many('subscribe', () => [this.left]),
      match: many('match', (index) => [this.rights[index] as TestTable]),
      collect: many('collect', () => []),
    };
  }

  /** A change of the left table; what it sends stays on its way. */
  setLeft(key: unknown, value: unknown, time: number): void {
    const old = this.left.set(key, value, time);
    if (value === undefined && old === undefined) return;
    const from = this.partitionOf(key);
    this.part('subscribe', from).send(key, value, time, 0, old);
    this.collectFrom('subscribe', from);
  }

  setRight(key: unknown, value: unknown, time: number): void {
    const at = this.partitionOf(key);
    const old = (this.rights[at] as TestTable).set(key, value, time);
    if (value === undefined && old === undefined) return;
    this.part('match', at).send(key, value, time, 0, old);
    this.collectFrom('match', at);
  }

  /** Queues that have something. */
  get waiting(): readonly string[] {
    return [...this.queues].filter(([, queue]) => queue.length > 0).map(([name]) => name);
  }

  /** Hands over the first message of a queue. */
  deliver(name: string): void {
    const message = this.queues.get(name)?.shift();
    if (message === undefined) return;
    const [, role, partition] = name.split('>') as [string, Role, string];
    const { key, value, time } = message;
    this.part(role, Number(partition)).send(key, value, time, role === 'match' ? 1 : 0);
    this.collectFrom(role, Number(partition));
  }

  /** Everything arrives. */
  settle(): this {
    for (let names = this.waiting; names.length > 0; names = this.waiting)
      for (const name of names) this.deliver(name);
    return this;
  }

  /** Every part commits, and begins again with what it has in its stores. */
  restart(): void {
    for (const parts of Object.values(this.parts)) for (const part of parts) part.commit().crash();
  }

  /** T of every part comes to `time`. */
  advanceTo(time: number): void {
    for (const parts of Object.values(this.parts)) for (const part of parts) part.advanceTo(time);
  }

  /** The result, as the changes say. Old values that are not what was there before are an error. */
  result(): Map<unknown, unknown> {
    const result = new Map<unknown, unknown>();
    for (const { key, value, old } of this.changes) {
      if (JSON.stringify(result.get(key)) !== JSON.stringify(old))
        throw new Error(`the old value of ${String(key)} is not what was put out before`);
      if (value === undefined) result.delete(key);
      else result.set(key, value);
    }
    return result;
  }

  /** The result of a key, as the table of the last part says. */
  get(key: unknown): unknown {
    return this.part('collect', this.partitionOf(key)).operator.table?.get(key);
  }

  private collectFrom(role: Role, index: number): void {
    const part = this.part(role, index);
    this.failures.push(...part.failures.splice(0));
    for (const emitted of part.take()) {
      if (role === 'collect') this.changes.push(emitted);
      else this.send(`${role}${index}>${role === 'subscribe' ? 'match' : 'collect'}`, emitted);
    }
  }

  private send(from: string, { key, value, time }: Emitted): void {
    const name = `${from}>${this.partitionOf(key)}`;
    const queue = this.queues.get(name) ?? [];
    queue.push({ key, value: throughBytes(value), time });
    this.queues.set(name, queue);
  }

  private part(role: Role, index: number): OperatorHarness {
    const part = this.parts[role][index];
    if (part === undefined) throw new Error(`no ${role} ${index}`);
    return part;
  }

  private partitionOf(key: unknown): number {
    const writer = new ByteWriter(64);
    encodeKey(key, writer);
    let hash = 0;
    for (let index = 0; index < writer.length; index++)
      hash = (hash * 31 + (writer.buffer[index] ?? 0)) % 65_521;
    return hash % this.partitions;
  }
}

function throughBytes(value: unknown): unknown {
  const writer = new ByteWriter(64);
  encodeValue(value, writer);
  return decodeValue(Buffer.from(writer.buffer.subarray(0, writer.length)), 0, writer.length);
}
