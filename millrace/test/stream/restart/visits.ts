/** The program of `restart-figures.ts`: visits per visitor, of very many. */
import { flow, json, string, topic } from '../../../src/index.ts';

const prefix = process.env['MILLRACE_TEST_PREFIX'] ?? 'restart';

export const visits = flow(prefix, (f) => {
  f.readKeyed(topic(`${prefix}-visits`, { key: string(), value: string() }))
    .count('visits')
    .write(topic(`${prefix}-counts`, { key: string(), value: json(), create: { partitions: 4 } }));
});
