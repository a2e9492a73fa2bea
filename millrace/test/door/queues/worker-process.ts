/** A worker in a process of its own: `node worker-process.ts AMQP QUEUE`. Says what it is given, and never comes back. */
import { connectMillrace } from '../../../src/index.ts';

const [amqp = '', name = '', brokers = ''] = process.argv.slice(2);
const millrace = await connectMillrace({ amqp, brokers });
const worker = millrace.queue(name).work(
  (value, { attempt }) => {
    process.stdout.write(`${JSON.stringify([value, attempt])}\n`);
    return new Promise(() => {});
  },
  { concurrency: 2 },
);
await worker.done;
