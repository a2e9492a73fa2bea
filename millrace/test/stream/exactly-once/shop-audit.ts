/** Feeds the shop and audits what it has written, reading what is committed only. */
import { visibleBatches } from '../../../src/client/kafka/fetched-records.ts';
import type { Log } from '../../../src/client/log.ts';
import { partitionOf } from '../../../src/core/murmur2.ts';
import type { Order } from './shop.ts';

export const PARTITIONS = 4;
const CUSTOMERS = 50;
/** Brokers delete what is older than a week. */
const OPENED_MS = Date.now() - 3_600_000;
const TIERS = ['gold', 'silver', 'bronze'];

export function tierOf(customer: number): string {
  return TIERS[customer % TIERS.length] ?? '';
}

export function orderOf(id: number): Order {
  return { id, customer: `customer-${(id * 7) % CUSTOMERS}`, total: 1 + (id % 97) };
}

export async function openShop(log: Log, prefix: string): Promise<void> {
  await log.createTopics(
    ['orders', 'customers'].map((name) => ({
      name: `${prefix}-${name}`,
      partitions: PARTITIONS,
      configs: {},
    })),
  );
  const producer = await log.producer({});
  for (let customer = 0; customer < CUSTOMERS; customer++) {
    const key = Buffer.from(`customer-${customer}`);
    const value = JSON.stringify({ tier: tierOf(customer) });
    producer.append(`${prefix}-customers`, partitionOf(key, PARTITIONS), OPENED_MS, key, value);
  }
  await producer.flush();
  await producer.close();
}

/** Orders `from` to `to - 1`. */
export async function sendOrders(
  log: Log,
  prefix: string,
  from: number,
  to: number,
): Promise<void> {
  const producer = await log.producer({});
  for (let id = from; id < to; id++)
    producer.append(
      `${prefix}-orders`,
      id % PARTITIONS,
      OPENED_MS + 1 + id,
      `o${id}`,
      JSON.stringify(orderOf(id)),
    );
  await producer.flush();
  await producer.close();
}

interface Line {
  readonly key: string;
  readonly value: unknown;
}

/** Reads on in the topics of a shop; keeps all it has read. */
export class ShopReader {
  readonly lines = new Map<string, Line[]>();
  readonly #log: Log;
  readonly #next = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Reads a topic to its stable end. @returns all lines of it; undefined: it is not there yet */
  async read(topic: string): Promise<readonly Line[] | undefined> {
    const count = (await this.#log.topics([topic])).get(topic)?.partitions;
    if (count === undefined) return undefined;
    const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }));
    const ends = await this.#log.offsets(partitions, 'stable');
    const lines = this.lines.get(topic) ?? [];
    this.lines.set(topic, lines);
    const keyOf = (partition: number): string => `${topic}/${partition}`;
    const left = new Map<number, number>();
    for (const [partition, end] of ends.entries())
      if ((end ?? 0) > (this.#next.get(keyOf(partition)) ?? 0)) left.set(partition, end ?? 0);
    const reader = this.#log.reader({ uncommitted: false });
    reader.assign(
      [...left.keys()].map((partition) => ({
        topic,
        partition,
        offset: this.#next.get(keyOf(partition)) ?? 0,
      })),
    );
    while (left.size > 0) {
      for (const records of await reader.poll(1_000)) {
        for (const batch of visibleBatches(records)) {
          while (batch.next()) {
            if (batch.offset < records.from) continue;
            const key = batch.data.toString('utf8', batch.keyStart, batch.keyEnd);
            const { valueStart, valueEnd } = batch;
            const text =
              valueStart < 0 ? 'null' : batch.data.toString('utf8', valueStart, valueEnd);
            lines.push({ key, value: JSON.parse(text) as unknown });
          }
        }
        this.#next.set(keyOf(records.partition), records.next);
        if (records.next >= (left.get(records.partition) ?? 0)) left.delete(records.partition);
      }
    }
    reader.close();
    return lines;
  }
}

/** What is wrong with the results for orders 0 to `count - 1`; each has to be in each of them once. */
export async function audit(reader: ShopReader, prefix: string, count: number): Promise<string[]> {
  const wrong: string[] = [];
  const orders = Array.from({ length: count }, (_, id) => orderOf(id));
  wrong.push(...enrichedFaults((await reader.read(`${prefix}-enriched`)) ?? [], orders));
  const perCustomer = new Map<string, number>();
  const perTier = new Map<string, number>();
  for (const { customer, total } of orders) {
    perCustomer.set(customer, (perCustomer.get(customer) ?? 0) + 1);
    const tier = tierOf(Number(customer.slice('customer-'.length)));
    perTier.set(tier, (perTier.get(tier) ?? 0) + total);
  }
  const counts = (await reader.read(`${prefix}-counts`)) ?? [];
  const seen = new Map<string, number>();
  for (const { key, value } of counts) {
    const due = (seen.get(key) ?? 0) + 1;
    if (value !== due) wrong.push(`count of ${key}: ${String(value)} came where ${due} was due`);
    seen.set(key, Number(value));
  }
  wrong.push(...lastFaults('count', seen, perCustomer));
  const revenue = (await reader.read(`${prefix}-revenue`)) ?? [];
  const sums = new Map(revenue.map(({ key, value }) => [key, Number(value)]));
  wrong.push(...lastFaults('revenue', sums, perTier));
  if (revenue.length !== count) wrong.push(`${revenue.length} changes of revenue, not ${count}`);
  return wrong;
}

function enrichedFaults(lines: readonly Line[], orders: readonly Order[]): string[] {
  const wrong: string[] = [];
  const times = new Map<number, number>();
  for (const { value } of lines) {
    const { id, customer, tier } = value as Order & { readonly tier: string };
    times.set(id, (times.get(id) ?? 0) + 1);
    if (tier !== tierOf(Number(customer.slice('customer-'.length))))
      wrong.push(`order ${id} of ${customer} has tier ${tier}`);
  }
  for (const { id } of orders) {
    const found = times.get(id) ?? 0;
    if (found !== 1) wrong.push(`order ${id} is there ${found} times`);
  }
  return wrong;
}

function lastFaults(
  what: string,
  found: ReadonlyMap<string, number>,
  wanted: ReadonlyMap<string, number>,
): string[] {
  return [...wanted].flatMap(([key, value]) =>
    found.get(key) === value
      ? []
      : [`${what} of ${key}: ${found.get(key) ?? 'none'}, not ${value}`],
  );
}
