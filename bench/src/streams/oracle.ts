/** What each query must give, computed as naively as can be from the events themselves. */
import { crc32c } from '@node-rs/crc32';
import type { Content } from '../clients/record-batch.ts';
import { type Auction, type Bid, nexmarkEvents } from './nexmark.ts';
import type { QueryName } from './queries.ts';
import { closingBids } from './topics-data.ts';

/** As in the programs, in milliseconds. */
const COUNTED_MS = 10_000;
const MET_MS = 1_000;

class Rows {
  readonly content: Content = { recordCount: 0, valueBytes: 0, checksum: 0 };

  add(row: unknown): void {
    const value = Buffer.from(JSON.stringify(row));
    this.content.recordCount++;
    this.content.valueBytes += value.length;
    this.content.checksum = (this.content.checksum + crc32c(value, crc32c(''))) >>> 0;
  }
}

/** @param bids as the topics were filled with */
export function expectedContent(query: QueryName, bids: number): Content {
  const rows = new Rows();
  ORACLES[query](bids, rows);
  return rows.content;
}

const ORACLES: Readonly<Record<QueryName, (bids: number, rows: Rows) => void>> = {
  'pass-through': (count, rows) => {
    for (const bid of allBids(count)) rows.add(bid);
  },
  filter: (count, rows) => {
    for (const bid of allBids(count)) if (bid.auction % 123 === 0) rows.add(bid);
  },
  currency: (count, rows) => {
    for (const bid of allBids(count))
      rows.add({ ...bid, price: Math.round((bid.price * 908) / 1000) });
  },
  'windowed-count': (count, rows) => {
    const windows = new Map<string, { auction: number; start: number; bids: number }>();
    for (const { auction, dateTime } of bidsOf(count)) {
      const start = Math.floor(dateTime / COUNTED_MS) * COUNTED_MS;
      const name = `${auction} ${start}`;
      const window = windows.get(name) ?? { auction, start, bids: 0 };
      window.bids++;
      windows.set(name, window);
    }
    for (const window of windows.values()) rows.add(window);
  },
  'stream-join': (count, rows) => {
    withAuctions(count, ({ auction, price, dateTime }, { category, dateTime: opened }) => {
      if (opened <= dateTime && dateTime <= opened + MET_MS) rows.add({ auction, price, category });
    });
  },
  'table-join': (count, rows) => {
    withAuctions(count, ({ auction, price }, { category, seller }) => {
      rows.add({ auction, price, category, seller });
    });
  },
  session: (count, rows) => {
    const times = new Map<number, number[]>();
    for (const { bidder, dateTime } of bidsOf(count)) {
      const known = times.get(bidder);
      if (known === undefined) times.set(bidder, [dateTime]);
      else known.push(dateTime);
    }
    for (const [bidder, all] of times) {
      const sorted = all.toSorted((left, right) => left - right);
      let session: { bidder: number; start: number; end: number; bids: number } | undefined;
      for (const time of sorted) {
        if (session !== undefined && time - session.end <= COUNTED_MS) {
          session.end = time;
          session.bids++;
          continue;
        }
        if (session !== undefined) rows.add(session);
        session = { bidder, start: time, end: time, bids: 1 };
      }
      if (session !== undefined) rows.add(session);
    }
  },
};

function* bidsOf(count: number): Generator<Bid> {
  for (const event of nexmarkEvents(count)) if (event.kind === 'bid') yield event.bid;
}

function* allBids(count: number): Generator<Bid> {
  yield* bidsOf(count);
  yield* closingBids(count);
}

function withAuctions(count: number, each: (bid: Bid, auction: Auction) => void): void {
  const auctions = new Map<number, Auction>();
  for (const event of nexmarkEvents(count)) {
    if (event.kind === 'auction') auctions.set(event.auction.id, event.auction);
    else {
      const auction = auctions.get(event.bid.auction);
      if (auction !== undefined) each(event.bid, auction);
    }
  }
}
