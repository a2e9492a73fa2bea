/** A process that takes records and webhooks over HTTP until it is killed, and tells its parent where: `take-process.ts <directory>`. */
import { openMillrace } from '../../src/index.ts';

const [dir = ''] = process.argv.slice(2);
const millrace = await openMillrace({
  dir,
  http: { port: 0 },
  webhooks: { shop: { topic: 'hooks', scheme: 'token', secret: 'token' } },
});
process.send?.(millrace.http);
