/** What a thread of the test does: one record in a transaction, which it commits, or leaves open. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { connectPort } from '../../src/client/port-log.ts';
import { realEnv } from '../../src/core/real-env.ts';

const { port, topic, ending } = workerData as {
  readonly port: MessagePort;
  readonly topic: string;
  readonly ending: 'commit' | 'hang';
};
const log = await connectPort(realEnv(), port);
const transactionalId =
  ending === 'hang' ? `of ${topic}` : `of ${topic} ${String(process.hrtime.bigint())}`;
const producer = await log.producer({ transactionalId });
producer.append(topic, 0, 1, null, 'from a thread');
await producer.flush();
if (ending === 'commit') {
  await producer.commit();
  await log.close();
} else {
  parentPort?.postMessage('written', []);
}
