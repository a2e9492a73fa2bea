/**
 * Which result of a search was clicked: two streams that meet when a click comes within an hour of its search. A search that nobody clicked
 * is told, too, when the hour is over.
 *
 *     node examples/feed.ts searches | millrace produce searches --json
 *     node examples/feed.ts clicks | millrace produce clicks --json
 *     millrace run examples/search-clicks.ts --brokers 127.0.0.1:9092
 */
import { flow, json, string, topic } from 'millrace';

export interface Search {
  readonly query: string;
}
export interface Click {
  readonly result: string;
}
export interface Outcome {
  readonly query: string;
  /** null: nothing within an hour. */
  readonly clicked: string | null;
}

// Keys are sessions.
export const searches = topic('searches', { key: string(), value: json<Search>() });
export const clicks = topic('clicks', { key: string(), value: json<Click>() });
export const outcomes = topic('search-outcomes', { key: string(), value: json<Outcome>() });

export default flow('search-clicks', (f) => {
  f.readKeyed(searches)
    .leftJoin(
      'clicked',
      f.readKeyed(clicks),
      ({ query }, click): Outcome => ({ query, clicked: click?.result ?? null }),
      { after: '1 hour' },
    )
    .write(outcomes);
});
