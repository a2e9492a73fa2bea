/** Queues as flows see them: records with what a message carries, on a log in memory. */
import { describe, expect, test } from 'vitest';
import { recordFacts } from '../../client/amqp/message-properties.ts';
import type { MillraceError } from '../../core/errors.ts';
import { openFlow, written } from '../../../test/stream/tasks/cluster.ts';
import { json } from '../topics/serdes.ts';
import { topic } from '../topics/topic.ts';
import type { MessageOptions } from './message-options.ts';
import { queue } from './queue.ts';

interface Email {
  readonly to: string;
  readonly isUrgent: boolean;
}

const emails = queue('emails', {
  value: json<Email>(),
  message: ({ to, isUrgent }) => ({
    id: `mail-${to}`,
    priority: isUrgent ? 9 : 0,
    delay: isUrgent ? 0 : '5 minutes',
    headers: { campaign: 7 },
  }),
});

describe('a flow that writes a queue', () => {
  test('makes the queue with its dead letters, by the config of their topics', async () => {
    const cluster = await openFlow((f) => f.read(topic('in')).write(queue('jobs')), {
      topics: { in: 1 },
    });
    const { outputTopics } = cluster.topology;
    expect(outputTopics.map(({ name, partitions }) => [name, partitions])).toEqual([
      ['queue.jobs.dead', 1],
      ['queue.jobs', 1],
    ]);
    const [dead, own] = outputTopics.map(
      ({ configs }) => JSON.parse(configs['millrace.queue'] ?? '') as unknown,
    );
    expect(dead).toMatchObject({
      name: 'jobs.dead',
      vhost: '/',
      arguments: { 'x-delivery-limit': -1 },
    });
    expect(own).toMatchObject({
      name: 'jobs',
      arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'jobs.dead' },
    });
    await cluster.close();
  });

  test('says of each message what the program says of it, and takes the key of the stream', async () => {
    const cluster = await openFlow(
      (f) => {
        f.read(topic('in', { value: json<Email>() }))
          .keyBy(({ to }) => to)
          .write(emails);
      },
      { topics: { in: 1 } },
    );
    cluster.produce('in', [
      { key: null, value: JSON.stringify({ to: 'ann', isUrgent: true }), timestamp: 10 },
      { key: null, value: JSON.stringify({ to: 'bob', isUrgent: false }), timestamp: 20 },
    ]);
    await cluster.run();
    const records = cluster.log.records('queue.emails');
    expect(records.map(({ key }) => key?.toString())).toEqual(['ann', 'bob']);
    const [urgent, calm] = records.map(({ headers }) => recordFacts(headers));
    expect(urgent).toMatchObject({
      id: 'mail-ann',
      priority: 9,
      key: 'ann',
      headers: { campaign: 7 },
    });
    expect(urgent?.contentType).toBe('application/json');
    expect(calm).toMatchObject({ id: 'mail-bob', priority: 0, key: 'bob' });
    await cluster.close();
  });

  test('stops, and says why, where a message cannot be', async () => {
    const wrong = queue('wrong', { message: () => ({ priority: 11 }) });
    const cluster = await openFlow((f) => f.read(topic('in')).write(wrong), { topics: { in: 1 } });
    cluster.produce('in', [{ key: null, value: 'x', timestamp: 0 }]);
    await expect(cluster.run()).rejects.toMatchObject({
      code: 'ML_SINK_VALUE_INVALID',
      message: expect.stringMatching(/priority is 11, and must be 0 to 10/),
    });
    await cluster.close();
  });

  test('stops where of a message something is said that there is not', async () => {
    const wrong = queue('wrong', { message: () => ({ dely: '1s' }) as MessageOptions });
    const cluster = await openFlow((f) => f.read(topic('in')).write(wrong), { topics: { in: 1 } });
    cluster.produce('in', [{ key: null, value: 'x', timestamp: 0 }]);
    await expect(cluster.run()).rejects.toMatchObject({
      code: 'ML_SINK_VALUE_INVALID',
      message: expect.stringMatching(/it has no option 'dely': did you mean 'delay'/),
    });
    await cluster.close();
  });
});

describe('a flow that reads a queue', () => {
  test('gets values, and with messages() what came with them', async () => {
    const cluster = await openFlow(
      (f) => {
        f.read(emails)
          .map(({ to }) => to)
          .write(topic('names', { value: json() }));
        f.read(emails.messages())
          .map(({ id, key, priority, value, headers }) => ({
            id,
            key,
            priority,
            to: value.to,
            headers,
          }))
          .write(topic('seen', { value: json() }));
      },
      { topics: { 'queue.emails': 1 } },
    );
    cluster.produce('queue.emails', [
      {
        key: 'ann',
        value: JSON.stringify({ to: 'ann', isUrgent: true }),
        timestamp: 10,
        headers: sentHeaders(),
      },
      // As a Kafka client has it that knows nothing of queues.
      {
        key: null,
        value: JSON.stringify({ to: 'bob' }),
        timestamp: 20,
        headers: [{ key: 'via', value: 'kafka' }],
      },
    ]);
    await cluster.run();
    expect(written(cluster, 'names').map(({ value }) => value)).toEqual(['ann', 'bob']);
    expect(written(cluster, 'seen').map(({ value }) => value)).toEqual([
      { id: 'mail-ann', key: 'ann', priority: 9, to: 'ann', headers: { campaign: 7 } },
      { key: null, priority: 0, to: 'bob', headers: { via: 'kafka' } },
    ]);
    await cluster.close();
  });

  /** What a flow writes of an urgent message. */
  function sentHeaders() {
    const port = emails.sink().topic;
    return port?.envelope?.({ to: 'ann', isUrgent: true }, 'ann').headers ?? [];
  }
});

describe('a description of a queue', () => {
  test.each([
    ['', {}, /its name must be text/],
    ['amq.x', {}, /belong to the broker/],
    ['x'.repeat(256), {}, /longer than 255 bytes/],
    ['q', { maxPriority: 256 }, /maxPriority must be an integer from 0 to 255/],
    ['q', { maxLength: 0 }, /maxLength/],
    ['q', { deadLetters: 'q' }, /its own dead letters/],
    ['q', { dedupe: '8 days' }, /dedupe may be at most/],
    ['q', { consumerTimeout: '1s' }, /consumerTimeout must be at least 1 minute/],
    ['q', { value: 7 }, /value must be a serde/],
    ['q', { message: 7 }, /message must be a function/],
    ['q', { keyOrdered: 'yes' }, /keyOrdered must be true or false/],
    ['q', { singleWorker: 1 }, /singleWorker must be true or false/],
    ['q', { keyOrderd: true }, /has no option 'keyOrderd': did you mean 'keyOrdered'/],
    ['q', { messages: () => ({}) }, /has no option 'messages': did you mean 'message'/],
    ['q', { over: { topic: 't', form: 'next' } }, /over has no option 'form': did you mean 'from'/],
    ['q', 'fast', /takes its options as an object, and not "fast"/],
  ] as const)('of %j with %j is refused', (name, options, message) => {
    let error: unknown;
    try {
      queue(name, options as never);
    } catch (thrown) {
      error = thrown;
    }
    expect((error as MillraceError).code).toBe('ML_FLOW_INVALID');
    expect((error as MillraceError).message).toMatch(message);
  });

  test('becomes arguments of AMQP', () => {
    const { spec } = queue('q', {
      keyOrdered: true,
      dedupe: '1 hour',
      maxLength: 10,
      expiresIn: '2s',
      deliveryLimit: false,
      singleWorker: true,
      consumerTimeout: '2 hours',
      deadLetters: 'morgue',
      maxPriority: 0,
    });
    expect(spec.arguments).toEqual({
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'morgue',
      'x-max-length': 10,
      'x-overflow': 'reject-publish',
      'x-message-ttl': 2_000,
      'x-key-ordered': true,
      'x-single-active-consumer': true,
      'x-dedupe-window': 3_600_000,
      'x-delivery-limit': -1,
      'x-consumer-timeout': 7_200_000,
    });
    expect(spec.isStrict).toBe(true);
    expect(queue('q').spec.isStrict).toBe(false);
    expect(queue('q', { deadLetters: false }).spec.deadLetters).toBeUndefined();
  });
});
