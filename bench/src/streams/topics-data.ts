/**
 * The topics of the benchmark: bids without keys, dealt out to the partitions in turn; auctions under their ids. What closes the last
 * windows is in no result of a window itself, since nothing closes that.
 */
import { crc32c } from '@node-rs/crc32';
import type { Address } from '../clients/receiving-socket.ts';
import { WireConnection } from '../clients/wire-connection.ts';
import { makeTopic } from '../clients/wire-load.ts';
import { produce, produceBody } from '../clients/wire-requests.ts';
import { type Bid, endOf, nexmarkEvents } from './nexmark.ts';
import { StreamBatch } from './stream-batch.ts';

export const PARTITIONS = 4;
/** Records as old as these must not be deleted. */
export const KEPT = { 'retention.ms': '-1' } as const;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Enough for every partition of any partitioner to get one. */
const CLOSING_KEYS = 64;
/** Behind the bids that were asked for. */
export const CLOSING_BIDS = CLOSING_KEYS * PARTITIONS;
const BATCH_BYTES = 64 * 1024;
const BATCHES_IN_FLIGHT = 8;

/** Bids with which all ends: one for each of some keys, in each partition. */
export function closingBids(bids: number): Bid[] {
  const dateTime = endOf(bids) + DAY_MS;
  return Array.from({ length: CLOSING_BIDS }, (_, index) => {
    // Below the ids of the others.
    const key = index % CLOSING_KEYS;
    return { auction: key, bidder: key, price: 1, dateTime, extra: '' };
  });
}

/** Makes and fills `bids` and `auctions` of a broker. */
export async function fillTopics(address: Address, bids: number): Promise<void> {
  for (const name of ['bids', 'auctions'])
    await makeTopic(address, { name, partitionCount: PARTITIONS, config: KEPT });
  const connection = await WireConnection.open(address);
  try {
    const bidTopic = new TopicFiller(connection, 'bids');
    const auctionTopic = new TopicFiller(connection, 'auctions');
    for (const event of nexmarkEvents(bids)) {
      if (event.kind === 'bid') {
        const { bid } = event;
        await bidTopic.add(bidTopic.count % PARTITIONS, null, JSON.stringify(bid), bid.dateTime);
      } else {
        const { auction } = event;
        const key = String(auction.id);
        await auctionTopic.add(keyPartition(key), key, JSON.stringify(auction), auction.dateTime);
      }
    }
    // At its end an input does not hold up the others of a join that waits for what may still come.
    for (const { auction, dateTime } of closingBids(bids).slice(0, CLOSING_KEYS)) {
      // Not those of the bids: nothing is to be joined here.
      const id = CLOSING_KEYS + auction;
      const key = String(id);
      const value = JSON.stringify({ id, category: 0, dateTime });
      await auctionTopic.add(keyPartition(key), key, value, dateTime);
    }
    await bidTopic.end();
    await auctionTopic.end();
  } finally {
    connection.close();
  }
}

/**
 * Puts bids of a day later behind the others, which closes all of their windows. Not before all of them are through: a side whose time
 * does not wait for the slowest of its inputs would take those of the others for late.
 */
export async function closeWindows(address: Address, bids: number): Promise<void> {
  const connection = await WireConnection.open(address);
  try {
    const bidTopic = new TopicFiller(connection, 'bids');
    for (const [index, bid] of closingBids(bids).entries()) {
      const partition = Math.floor(index / CLOSING_KEYS);
      await bidTopic.add(partition, null, JSON.stringify(bid), bid.dateTime);
    }
    await bidTopic.end();
  } finally {
    connection.close();
  }
}

class TopicFiller {
  count = 0;
  readonly #connection: WireConnection;
  readonly #name: string;
  readonly #batches = Array.from({ length: PARTITIONS }, () => new StreamBatch(BATCH_BYTES));
  readonly #sending = new Set<Promise<void>>();

  constructor(connection: WireConnection, name: string) {
    this.#connection = connection;
    this.#name = name;
  }

  async add(partition: number, key: string | null, value: string, time: number): Promise<void> {
    this.count++;
    const batch = this.#batches[partition];
    if (batch === undefined || batch.add(key, value, time)) return;
    this.#send(partition, batch);
    if (this.#sending.size >= BATCHES_IN_FLIGHT) await Promise.all(this.#sending);
  }

  async end(): Promise<void> {
    for (const [partition, batch] of this.#batches.entries())
      if (batch.count > 0) this.#send(partition, batch);
    await Promise.all(this.#sending);
  }

  #send(partition: number, batch: StreamBatch): void {
    const body = produceBody(this.#name, [{ partition, batch: batch.finish(crc32c) }]);
    const sending = produce(this.#connection, body).finally(() => {
      this.#sending.delete(sending);
    });
    this.#sending.add(sending);
  }
}

/** Of Kafka's default partitioner. */
function keyPartition(key: string): number {
  return (murmur2(Buffer.from(key)) & 0x7fffffff) % PARTITIONS;
}

/** MurmurHash2 with Kafka's seed. */
function murmur2(data: Uint8Array): number {
  const M = 0x5bd1e995;
  const { length } = data;
  const view = new DataView(data.buffer, data.byteOffset, length);
  let hash = 0x9747b28c ^ length;
  const whole = length & ~3;
  for (let at = 0; at < whole; at += 4) {
    let k = Math.imul(view.getInt32(at, true), M);
    k = Math.imul(k ^ (k >>> 24), M);
    hash = Math.imul(hash, M) ^ k;
  }
  const rest = length - whole;
  if (rest >= 3) hash ^= (data[whole + 2] ?? 0) << 16;
  if (rest >= 2) hash ^= (data[whole + 1] ?? 0) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ (data[whole] ?? 0), M);
  hash = Math.imul(hash ^ (hash >>> 13), M);
  return hash ^ (hash >>> 15);
}
