/** Groups of librdkafka consumers (kcat) whose processes stand still, and whose broker dies. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type BrokerUnderTest, startBrokerUnderTest, uniqueName } from './broker-under-test.ts';
import { KCAT_INSTALLED, kcatOk } from './kcat.ts';

const SESSION_MS = 1_500;
/** Apache Kafka allows none below six seconds by itself. */
const OTHER_SESSION_MS = 6_000;

let broker: BrokerUnderTest;
let admin: Admin;
const readers: Reader[] = [];

/** One kcat in a group: what it has read, and what it has been assigned, newest last. */
class Reader {
  readonly values: string[] = [];
  readonly assignments: number[][] = [];
  private readonly process: ChildProcessByStdio<null, Readable, Readable>;

  constructor(groupId: string, topic: string) {
    const settings = [
      `session.timeout.ms=${broker.kind === 'millrace' ? SESSION_MS : OTHER_SESSION_MS}`,
      'heartbeat.interval.ms=200',
      'auto.offset.reset=earliest',
      'reconnect.backoff.max.ms=200',
    ].flatMap((setting) => ['-X', setting]);
    const args = ['-b', broker.address, '-G', groupId, '-u', ...settings, topic];
    this.process = spawn('kcat', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    onLines(this.process.stdout, (line) => this.values.push(line));
    onLines(this.process.stderr, (line) => {
      const assigned = /assigned: (.*)$/.exec(line)?.[1];
      if (assigned !== undefined) {
        this.assignments.push([...assigned.matchAll(/\[(\d+)\]/g)].map((each) => Number(each[1])));
      }
    });
    readers.push(this);
  }

  get partitions(): number[] {
    return this.assignments.at(-1) ?? [];
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.process.once('close', resolve));
    this.process.kill(signal);
    await ended;
  }
}

function onLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
}

beforeAll(async () => {
  broker = await startBrokerUnderTest(['group.min.session.timeout.ms=1000']);
  admin = new Kafka({
    brokers: [broker.address],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50 },
  }).admin();
  await admin.connect();
});
afterEach(async () => {
  await Promise.all(readers.splice(0).map((reader) => reader.end()));
});
afterAll(async () => {
  await admin?.disconnect();
  await broker?.stop();
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** Sends numbers, each once, `count` to each of two partitions. */
async function send(topic: string, from: number, count: number): Promise<string[]> {
  const numbers = Array.from({ length: count }, (_, index) => String(from + index));
  for (const partition of ['0', '1']) {
    const own = numbers.filter((number) => Number(number) % 2 === Number(partition));
    await kcatOk(broker.address, ['-P', '-t', topic, '-p', partition], `${own.join('\n')}\n`);
  }
  return numbers;
}

async function committed(groupId: string, topic: string): Promise<number[]> {
  const [answer] = await admin.fetchOffsets({ groupId, topics: [topic] });
  const partitions = answer?.partitions ?? [];
  return partitions.sort((a, b) => a.partition - b.partition).map(({ offset }) => Number(offset));
}

async function newTopic(): Promise<string> {
  const topic = uniqueName('faults');
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true });
  return topic;
}

describe.skipIf(!KCAT_INSTALLED)('a group of kcats', () => {
  test('goes on without a member that stands still, and takes it back when it goes on', async () => {
    const [topic, groupId] = [await newTopic(), uniqueName('paused')];
    const one = new Reader(groupId, topic);
    await until(() => one.partitions.length === 2);
    const two = new Reader(groupId, topic);
    await until(() => one.partitions.length === 1 && two.partitions.length === 1);
    const sent = await send(topic, 0, 20);
    const seen = (): Set<string> => new Set([...one.values, ...two.values]);
    await until(() => seen().size === sent.length);

    one.signal('SIGSTOP');
    await until(() => two.partitions.length === 2);
    sent.push(...(await send(topic, 20, 20)));
    await until(() => seen().size === sent.length);
    // kcat commits every five seconds, and cannot be told otherwise: by now the one that stands still has a commit to make, too.
    await until(async () => (await committed(groupId, topic)).join() === '20,20');
    const group = await admin.describeGroups([groupId]);
    expect(group.groups[0]?.members).toHaveLength(1);

    one.signal('SIGCONT');
    await until(() => one.partitions.length === 1 && two.partitions.length === 1);
    // Nothing of what it still believed has counted: it was not of the generation any more.
    expect(await committed(groupId, topic)).toEqual([20, 20]);
    sent.push(...(await send(topic, 40, 20)));
    await until(() => seen().size === sent.length);
    await Promise.all([one.end('SIGTERM'), two.end('SIGTERM')]);
    expect(await committed(groupId, topic)).toEqual([30, 30]);
  });
});

test('three kafkajs consumers go on where they were when their broker is killed and comes back', async ({
  skip,
}) => {
  if (broker.kind !== 'millrace') skip();
  const [topic, groupId] = [await newTopic(), uniqueName('killed')];
  const kafka = new Kafka({
    brokers: [broker.address],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 300, retries: 100 },
  });
  const seen = new Map<string, number>();
  const consumers = [1, 2, 3].map(() =>
    kafka.consumer({
      groupId,
      // More than the broker takes to come back; a member that a consumer leaves behind holds the others up for so long.
      sessionTimeout: 4_000,
      heartbeatInterval: 200,
      maxWaitTimeInMs: 100,
    }),
  );
  try {
    await Promise.all(
      consumers.map(async (consumer) => {
        await consumer.connect();
        await consumer.subscribe({ topics: [topic], fromBeginning: true });
        await consumer.run({
          autoCommitThreshold: 1,
          eachMessage: ({ message }) => {
            const value = message.value?.toString() ?? '';
            seen.set(value, (seen.get(value) ?? 0) + 1);
            return Promise.resolve();
          },
        });
      }),
    );
    if (!KCAT_INSTALLED) skip();
    const sent = await send(topic, 0, 20);
    await until(() => seen.size === sent.length);
    await until(async () => (await committed(groupId, topic)).join() === '10,10');
    const [before] = (await admin.describeGroups([groupId])).groups;

    await broker.kill('SIGKILL');
    await broker.restart();
    const [after] = (await admin.describeGroups([groupId])).groups;
    expect(after?.members.map(({ memberId }) => memberId)).toEqual(
      before?.members.map(({ memberId }) => memberId),
    );
    expect(await committed(groupId, topic)).toEqual([10, 10]);
    sent.push(...(await send(topic, 20, 20)));
    await until(() => seen.size === sent.length);
    // What was committed did not come again.
    expect(sent.slice(0, 20).map((value) => seen.get(value))).toEqual(
      sent.slice(0, 20).map(() => 1),
    );
  } finally {
    await Promise.all(consumers.map((consumer) => consumer.disconnect()));
  }
});
