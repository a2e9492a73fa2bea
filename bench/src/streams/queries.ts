/** The queries: what they are called, and what we aim at. */

export const QUERIES = [
  'pass-through',
  'filter',
  'currency',
  'windowed-count',
  'stream-join',
  'table-join',
  'session',
] as const;
export type QueryName = (typeof QUERIES)[number];

interface Query {
  readonly title: string;
  /** Input records per second and core; undefined: none was set. */
  readonly aim: number | undefined;
}

const STATELESS = 300_000;

export const QUERY_FACTS: Readonly<Record<QueryName, Query>> = {
  'pass-through': { title: 'Bids are read, parsed and written (q0)', aim: STATELESS },
  filter: { title: 'Bids of one auction in 123 (q2)', aim: STATELESS },
  currency: { title: 'Prices in another currency (q1)', aim: STATELESS },
  'windowed-count': {
    title: 'Bids per auction in windows of 10 s, each told once when it closes',
    aim: 150_000,
  },
  'stream-join': {
    title: 'Bids with their auction, within a second of its opening',
    aim: undefined,
  },
  'table-join': { title: 'Bids with the auction out of a table', aim: undefined },
  session: { title: 'Sessions of bidders with gaps of 10 s', aim: undefined },
};
