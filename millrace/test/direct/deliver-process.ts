/** A process that delivers a topic to an endpoint until it is killed: `deliver-process.ts <directory> <url> <secret>`. */
import { openMillrace } from '../../src/index.ts';

const [dir = '', to = '', secret = ''] = process.argv.slice(2);
const millrace = await openMillrace({ dir });
const hook = millrace.deliver('orders', {
  name: 'billing',
  to,
  secret,
  allowPrivate: true,
  from: 'beginning',
  retry: Array.from({ length: 20 }, () => '150ms' as const),
});
await hook.done;
