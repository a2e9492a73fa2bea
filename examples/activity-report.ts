/**
 * Activity events joined with user profiles: what people of each age group look at. The profiles are the smaller side: `millrace plan`
 * shows that they are broadcast.
 *
 *     millrace plan examples/activity-report.ts
 *     millrace run examples/activity-report.ts
 */
import { files, flow } from 'millrace';

interface Activity {
  readonly user: string;
  readonly url: string;
}

export default flow('activity-report', (f) => {
  const activity = f.read(
    files.ndjson<Activity>(f.param('activity', 'examples/data/activity.ndjson')),
  );
  const profiles = f.read(
    files.csv(f.param('profiles', 'examples/data/profiles.csv'), {
      columns: { user: 'string', born: 'number', country: 'string' },
    }),
  );
  const strangers = f.counter('events of unknown users');

  activity
    .keyBy((event) => event.user)
    .leftJoin(
      'with-profile',
      profiles.keyBy((profile) => profile.user),
      (event, profile) => {
        if (profile === undefined) strangers.add();
        const born = profile?.born ?? null;
        return { url: event.url, decade: born === null ? null : Math.floor(born / 10) * 10 };
      },
    )
    .keyBy((view) => [view.url, view.decade])
    .count('views')
    .map((views, [url, decade]) => ({ url, decade, views }))
    .sort('by-url', (row) => [row.url, row.decade])
    .write(files.csv(f.param('output', 'out/activity-report.csv')));
});
