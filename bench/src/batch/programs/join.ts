/** Events with the country of their user: ten million rows and a million. */
import { files, flow } from 'millrace';

export const join = flow('join', (f) => {
  const events = f.read(
    files.csv(f.param('events', ''), {
      columns: { user: 'string', amount: 'number', page: 'string' },
    }),
  );
  const users = f.read(
    files.csv(f.param('users', ''), {
      columns: { user: 'string', country: 'string', plan: 'string' },
    }),
  );
  events
    .keyBy((event) => event.user)
    .join(
      'with-user',
      users.keyBy((user) => user.user),
      (event, user) => ({
        user: event.user,
        amount: event.amount,
        country: user.country,
      }),
    )
    .write(files.csv(f.param('output', '')));
});
