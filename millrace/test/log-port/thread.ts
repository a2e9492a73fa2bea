/** What a thread of the test does: one record in a transaction, which it commits, or leaves open; or it joins a group until it is told to go. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { connectPort } from '../../src/client/port-log.ts';
import { realEnv } from '../../src/core/real-env.ts';

const { port, topic, ending } = workerData as {
  readonly port: MessagePort;
  readonly topic: string;
  readonly ending: 'commit' | 'hang' | 'join';
};
const log = await connectPort(realEnv(), port);
if (ending === 'join') await join();
else await produce();

async function produce(): Promise<void> {
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
}

/** Of a group that does not deal out before others have come back. */
async function join(): Promise<void> {
  const member = log.member({
    group: topic,
    instanceId: 'thread',
    protocols: ['none'],
    topics: () => [topic],
    userData: () => Buffer.alloc(0),
    assign: async () => new Map(),
    onRebalance: () => {},
  });
  const joining = member.join().then(
    () => 'joined',
    () => 'given up',
  );
  parentPort?.once('message', () => {
    // Its place is kept.
    void member
      .leave('keep')
      .then(() => joining)
      .then((how) => parentPort?.postMessage(how, []))
      .then(() => log.close());
  });
}
