/**
 * Records for the examples over topics: an hour and a half in a shop, which ends now. Prints those of one topic as `millrace produce --json`
 * takes them.
 *
 *     node examples/feed.ts views | millrace produce views --json
 */
import type { NewRecord } from 'millrace';

/** Times are from the beginning. */
type Row = readonly [time: string, key: string, value: object | null];
/** What came, in the order in which it came. */
const SHOP: Readonly<Record<string, readonly Row[]>> = {
  views: [
    ['0:05', '/', { user: 'ann' }],
    ['0:20', '/', { user: 'bob' }],
    ['0:14', '/shoes', { user: 'cid' }], // late, and in time
    ['0:50', '/shoes', { user: 'ann' }],
    ['1:08', '/shoes', { user: 'bob' }],
    ['0:59', '/', { user: 'dee' }], // its minute is still open
    ['1:40', '/', { user: 'ann' }],
    ['0:30', '/shoes', { user: 'eve' }], // its minute is over
    ['2:10', '/hats', { user: 'bob' }],
    ['2:40', '/hats', { user: 'bob' }],
    ['90:00', '/', { user: 'ann' }],
  ],
  searches: [
    ['1:00', 's-1', { query: 'red shoes' }],
    ['2:00', 's-2', { query: 'hats' }],
    ['3:00', 's-3', { query: 'umbrella' }],
    ['90:00', 's-9', { query: 'socks' }],
  ],
  clicks: [
    ['0:30', 's-1', { result: '/before-the-search' }],
    ['1:20', 's-1', { result: '/shoes/17' }],
    ['4:00', 's-1', { result: '/shoes/4' }],
    ['62:00', 's-2', { result: '/hats/1' }], // an hour later, exactly
    ['63:01', 's-3', { result: '/umbrellas' }], // too late
    ['90:30', 's-9', { result: '/socks/2' }],
  ],
  customers: [
    ['0:00', 'c-1', { name: 'Ann', tier: 'silver' }],
    ['0:00', 'c-2', { name: 'Bob', tier: 'gold' }],
    ['2:00', 'c-1', { name: 'Ann', tier: 'gold' }],
    ['50:00', 'c-2', null],
  ],
  orders: [
    ['0:10', 'o-1', { customerId: 'c-1', total: 20 }],
    ['0:40', 'o-2', { customerId: 'c-2', total: 35 }],
    ['0:37', 'o-3', { customerId: 'c-1', total: 5 }],
    ['2:30', 'o-4', { customerId: 'c-1', total: 50 }],
    ['2:50', 'o-5', { customerId: 'c-9', total: 8 }],
    ['2:55', 'o-6', { customerId: 'c-2', total: 15 }],
    ['0:45', 'o-7', { customerId: 'c-1', total: 70 }], // comes two minutes late
    ['90:00', 'o-8', { customerId: 'c-1', total: 12 }],
  ],
  posts: [
    ['0:10', 'ann', { text: 'hello' }],
    ['0:20', 'bob', { text: 'new hats' }],
    ['5:00', 'ann', { text: 'shoes are here' }],
    ['9:00', 'bob', null],
    ['9:30', 'cid', { text: 'nobody reads me' }],
  ],
  follows: [
    ['0:15', 'dee>ann', { follower: 'dee', author: 'ann' }],
    ['0:30', 'dee>bob', { follower: 'dee', author: 'bob' }],
    ['0:40', 'eve>bob', { follower: 'eve', author: 'bob' }],
    ['3:00', 'eve>ann', { follower: 'eve', author: 'ann' }],
    ['7:00', 'dee>ann', null],
    ['8:00', 'dee>ann', { follower: 'dee', author: 'ann' }],
  ],
  payments: [
    ['0:00', 'card-1', { id: 'p-1', amount: 0.5 }],
    ['0:10', 'card-2', { id: 'p-2', amount: 0.2 }],
    ['1:00', 'card-1', { id: 'p-3', amount: 0.7 }],
    ['1:30', 'card-2', { id: 'p-4', amount: 0.3 }],
    ['2:00', 'card-1', { id: 'p-5', amount: 30 }],
    ['4:00', 'card-1', { id: 'p-6', amount: 999 }],
    ['5:00', 'card-1', { id: 'p-7', amount: 800 }], // nothing small before it any more
    ['12:00', 'card-2', { id: 'p-8', amount: 700 }], // too late
    ['90:00', 'card-3', { id: 'p-9', amount: 12 }],
  ],
};
/** Orders say themselves who they are, and when they were placed. */
const SAYS_ITSELF: ReadonlySet<string> = new Set(['orders']);

export const FEED_MS = 90 * 60_000;

/** The records of a topic, the last of them `FEED_MS` and a little after `startMs`. */
export function feed(name: string, startMs: number): NewRecord<unknown, string>[] {
  return (SHOP[name] ?? []).map(([time, key, value]) => {
    const [minutes = 0, seconds = 0] = time.split(':').map(Number);
    const timestamp = startMs + (minutes * 60 + seconds) * 1_000;
    const says = SAYS_ITSELF.has(name) ? { id: key, placedAt: timestamp } : {};
    return { key, value: value === null ? null : { ...says, ...value }, timestamp };
  });
}

if (import.meta.main) {
  const [name = ''] = process.argv.slice(2);
  const records = feed(name, Math.floor(Date.now() / 60_000) * 60_000 - FEED_MS);
  if (records.length === 0) {
    process.stderr.write(`usage: node feed.ts ${Object.keys(SHOP).join('|')}\n`);
    process.exitCode = 2;
  }
  for (const record of records) process.stdout.write(`${JSON.stringify(record)}\n`);
}
