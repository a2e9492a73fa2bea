/**
 * Page views per minute. Views come late, as from phones that were offline: for ten seconds time waits for them, for another twenty a
 * minute stays open, and what comes after that is put aside.
 *
 *     node examples/feed.ts views | millrace produce views --json
 *     millrace run examples/page-views.ts --brokers 127.0.0.1:9092
 */
import { flow, json, string, topic, tumbling, type Windowed } from 'millrace';

export interface View {
  readonly user: string;
}

/** By page. */
export const views = topic('views', {
  key: string(),
  value: json<View>(),
  time: { outOfOrder: '10s', idle: '10s' },
});
export const viewsPerMinute = topic('views-per-minute', {
  key: json<Windowed<string>>(),
  value: json<number>(),
});
export const lateViews = topic('views-late', { key: string(), value: json<View>() });

export default flow('page-views', (f) => {
  f.readKeyed(views)
    .window(tumbling('1 minute', { grace: '20s' }))
    .count('views-per-minute')
    .late(lateViews)
    .write(viewsPerMinute);
});
