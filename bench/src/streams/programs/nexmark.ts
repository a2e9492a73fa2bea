/** The queries of the benchmark, topic to topic, JSON in and out. `NexmarkStreams.java` says the same. */
import { flow, type FlowBuilder, json, session, topic, tumbling } from 'millrace';
import type { Auction, Bid } from '../nexmark.ts';

/** How far the partitions of an input may be apart in a side that does not wait for the slowest one. */
const GRACE = '1 minute';
const COUNTED = '10s';
const MET = '1s';

const bids = topic('bids', { value: json<Bid>() });
const auctions = topic('auctions', { key: json<number>(), value: json<Auction>() });

const QUERIES: Readonly<Record<string, (f: FlowBuilder, output: string) => void>> = {
  'pass-through': (f, output) => {
    f.read(bids).write(topic(output, { value: json<Bid>() }));
  },
  filter: (f, output) => {
    f.read(bids)
      .filter((bid) => bid.auction % 123 === 0)
      .write(topic(output, { value: json<Bid>() }));
  },
  currency: (f, output) => {
    f.read(bids)
      .map(({ auction, bidder, price, dateTime, extra }) => ({
        auction,
        bidder,
        price: Math.round((price * 908) / 1000),
        dateTime,
        extra,
      }))
      .write(topic(output, { value: json<Bid>() }));
  },
  'windowed-count': (f, output) => {
    f.read(bids)
      .keyBy((bid) => bid.auction)
      .window(tumbling(COUNTED, { grace: GRACE }))
      .count('bids-per-auction')
      .map((bidCount, window) => ({ auction: window.key, start: window.start, bids: bidCount }))
      .write(topic(output, { value: json() }));
  },
  'stream-join': (f, output) => {
    f.read(bids)
      .keyBy((bid) => bid.auction)
      .join(
        'early-bids',
        f.readKeyed(auctions),
        (bid, auction) => ({
          auction: bid.auction,
          price: bid.price,
          category: auction.category,
        }),
        { before: MET, after: 0, grace: GRACE },
      )
      .map((met) => met)
      .write(topic(output, { value: json() }));
  },
  'table-join': (f, output) => {
    f.read(bids)
      .keyBy((bid) => bid.auction)
      .join('with-auction', f.table(auctions), (bid, auction) => ({
        auction: bid.auction,
        price: bid.price,
        category: auction.category,
        seller: auction.seller,
      }))
      .map((joined) => joined)
      .write(topic(output, { value: json() }));
  },
  session: (f, output) => {
    f.read(bids)
      .keyBy((bid) => bid.bidder)
      .window(session(COUNTED, { grace: GRACE }))
      .count('bids-per-session')
      .map((bidCount, { key, start, end }) => ({ bidder: key, start, end, bids: bidCount }))
      .write(topic(output, { value: json() }));
  },
  /** As many keys as bids: what state costs. */
  keys: (f, output) => {
    f.read(bids)
      .keyBy((bid) => bid.dateTime * 1000 + (bid.price % 1000))
      .count('per-key')
      .toStream()
      .filter((_, key) => key % 1000 === 0)
      .write(topic(output, { value: json() }));
  },
};

export const nexmark = flow('nexmark', (f) => {
  const query = f.param('query', 'pass-through');
  QUERIES[query]?.(f, f.param('output', 'output'));
});
