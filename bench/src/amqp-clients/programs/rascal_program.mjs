/** An application with rascal: topology, publications and subscriptions from its configuration, and the ways it treats errors. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import amqplib from 'amqplib';
import rascal from 'rascal';
import { Heard, restartBroker, run, unique, until, URL, within } from './cases.mjs';

/** @param vhost exchanges, queues, bindings, publications, subscriptions */
async function withBroker({ shovels = {}, ...vhost }, use) {
  const connection = {
    url: URL,
    retry: { min: 100, max: 500 },
    management: { url: 'http://127.0.0.1:1' },
  };
  const config = rascal.withDefaultConfig({
    vhosts: { '/': { connection, ...vhost } },
    shovels,
    redeliveries: { counters: { inMemory: { size: 100 } } },
  });
  const broker = await rascal.BrokerAsPromised.create(config);
  const errors = new Heard();
  broker.on('error', (error) => errors.push(error.message));
  try {
    await use(broker, errors);
  } finally {
    await broker.nuke().catch(() => broker.shutdown());
  }
}

async function publish(broker, name, body, overrides) {
  const publication = await broker.publish(name, body, overrides);
  const returned = new Heard();
  publication.on('return', (message) => returned.push(message.fields.replyCode));
  await within(once(publication, 'success'), 'published');
  return returned.all;
}

async function subscribe(broker, name, handle) {
  const subscription = await broker.subscribe(name);
  subscription.on('message', handle).on('error', () => undefined);
  return subscription;
}

async function publishAndSubscribe() {
  await withBroker(
    {
      exchanges: ['first', 'second'],
      queues: { jobs: { options: { durable: false, arguments: { 'x-queue-mode': 'lazy' } } } },
      bindings: {
        between: {
          source: 'first',
          destination: 'second',
          destinationType: 'exchange',
          bindingKey: 'jobs.#',
        },
        jobs: { source: 'second', destination: 'jobs', bindingKeys: ['jobs.a', 'jobs.b'] },
      },
      publications: { job: { exchange: 'first', routingKey: 'jobs.a' } },
      subscriptions: { jobs: { queue: 'jobs', prefetch: 3 } },
    },
    async (broker) => {
      const seen = new Heard();
      await subscribe(broker, 'jobs', (message, content, ackOrNack) => {
        seen.push([content, message.properties.contentType]);
        ackOrNack();
      });
      for (const body of [{ n: 1 }, 'text', Buffer.from('bytes')])
        assert.deepEqual(await publish(broker, 'job', body), []);
      const all = await seen.first(3);
      assert.deepEqual(
        all.map(([, type]) => type),
        ['application/json', 'text/plain', undefined],
      );
      assert.deepEqual(all[0][0], { n: 1 });
      assert.deepEqual(await publish(broker, 'job', 'lost', { routingKey: 'elsewhere' }), [312]);
    },
  );
}

/** A failed job waits in a queue whose dead letters go back to the jobs; after three times it is given up. */
async function delayedRetries() {
  await withBroker(
    {
      exchanges: ['jobs', 'delay', 'retry', 'given_up'],
      queues: {
        jobs: { options: { arguments: { 'x-dead-letter-exchange': 'given_up' } } },
        waiting: {
          options: { arguments: { 'x-message-ttl': 100, 'x-dead-letter-exchange': 'retry' } },
        },
        given_up: {},
      },
      bindings: [
        'jobs[#] -> jobs',
        'delay[#] -> waiting',
        'retry[#] -> jobs',
        'given_up[#] -> given_up',
      ],
      publications: {
        job: { exchange: 'jobs', routingKey: 'a.job' },
        later: { exchange: 'delay' },
      },
      subscriptions: { jobs: { queue: 'jobs' }, given_up: { queue: 'given_up' } },
    },
    async (broker) => {
      const [tried, givenUp] = [new Heard(), new Heard()];
      await subscribe(broker, 'given_up', (message, content, ackOrNack) => {
        givenUp.push({
          content,
          deaths: message.properties.headers['x-death'].map(
            ({ queue, reason, count }) => `${queue} ${reason} ${count}`,
          ),
        });
        ackOrNack();
      });
      await subscribe(broker, 'jobs', (message, _content, ackOrNack) => {
        tried.push({
          key: message.fields.routingKey,
          deaths: message.properties.headers['x-death']?.[0].count ?? 0,
        });
        ackOrNack(new Error('as it should'), [
          { strategy: 'forward', publication: 'later', attempts: 3 },
          { strategy: 'nack' },
        ]);
      });
      await publish(broker, 'job', { n: 1 });
      const [last] = await givenUp.first(1);
      assert.deepEqual(last, {
        content: { n: 1 },
        deaths: ['jobs rejected 1', 'waiting expired 3'],
      });
      assert.deepEqual(
        tried.all.map(({ key }) => key),
        ['a.job', 'a.job', 'a.job', 'a.job'],
      );
      assert.deepEqual(
        tried.all.map(({ deaths }) => deaths),
        [0, 1, 2, 3],
      );
    },
  );
}

async function republishing() {
  await withBroker(
    {
      exchanges: ['jobs'],
      queues: ['jobs'],
      bindings: ['jobs[a.*] -> jobs'],
      publications: { job: { exchange: 'jobs', routingKey: 'a.b' } },
      subscriptions: { jobs: { queue: 'jobs' } },
    },
    async (broker) => {
      const tried = new Heard();
      await subscribe(broker, 'jobs', (message, _content, ackOrNack) => {
        tried.push([
          message.fields.exchange,
          message.fields.routingKey,
          message.properties.headers.custom,
        ]);
        if (tried.all.length === 3) ackOrNack();
        else ackOrNack(new Error('again'), [{ strategy: 'republish', defer: 50, attempts: 5 }]);
      });
      await publish(broker, 'job', 'm', { options: { headers: { custom: { n: [1, 2] } } } });
      assert.deepEqual(
        await tried.first(3),
        Array.from({ length: 3 }, () => ['jobs', 'a.b', { n: [1, 2] }]),
      );
    },
  );
}

async function redeliveries() {
  await withBroker(
    {
      queues: {
        jobs: {
          options: {
            arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' },
          },
        },
        dead: {},
      },
      publications: { job: { queue: 'jobs' } },
      subscriptions: {
        jobs: { queue: 'jobs', redeliveries: { limit: 3, counter: 'inMemory' } },
        dead: { queue: 'dead' },
      },
    },
    async (broker) => {
      const [tried, dead] = [new Heard(), new Heard()];
      await subscribe(broker, 'dead', (_message, content, ackOrNack) => {
        dead.push(content);
        ackOrNack();
      });
      const subscription = await broker.subscribe('jobs');
      subscription
        .on('message', (message, _content, ackOrNack) => {
          tried.push(message.fields.redelivered);
          ackOrNack(new Error('again'), { strategy: 'nack', requeue: true });
        })
        .on('redeliveries_exceeded', (_error, _message, ackOrNack) =>
          ackOrNack(new Error('enough'), { strategy: 'nack' }),
        )
        .on('error', () => undefined);
      await publish(broker, 'job', 'poison');
      assert.deepEqual(await dead.first(1), ['poison']);
      assert.deepEqual(tried.all.slice(0, 2), [false, true]);
    },
  );
}

async function shovels() {
  await withBroker(
    {
      queues: ['from', 'to'],
      publications: { from: { queue: 'from' }, to: { queue: 'to' } },
      subscriptions: { from: { queue: 'from' }, to: { queue: 'to' } },
      shovels: { moving: { subscription: 'from', publication: 'to' } },
    },
    async (broker) => {
      const seen = new Heard();
      await subscribe(broker, 'to', (_message, content, ackOrNack) => {
        seen.push(content);
        ackOrNack();
      });
      await publish(broker, 'from', 'm');
      assert.deepEqual(await seen.first(1), ['m']);
    },
  );
}

async function repliesGoToTheOneWhoAsked() {
  await withBroker(
    {
      queues: {
        questions: {},
        answers: { replyTo: true, options: { exclusive: true, autoDelete: true } },
      },
      publications: { ask: { queue: 'questions', replyTo: 'answers' }, answer: { exchange: '' } },
      subscriptions: { questions: { queue: 'questions' }, answers: { queue: 'answers' } },
    },
    async (broker) => {
      const answers = new Heard();
      await subscribe(broker, 'answers', (message, content, ackOrNack) => {
        answers.push([content, message.properties.correlationId]);
        ackOrNack();
      });
      await subscribe(broker, 'questions', async (message, content, ackOrNack) => {
        await publish(broker, 'answer', `${content}!`, {
          routingKey: message.properties.replyTo,
          options: { correlationId: message.properties.correlationId },
        });
        ackOrNack();
      });
      await publish(broker, 'ask', 'why', { options: { correlationId: 'c' } });
      assert.deepEqual(await answers.first(1), [['why!', 'c']]);
    },
  );
}

async function streams() {
  const queue = unique('stream');
  await withBroker(
    {
      queues: { [queue]: { options: { durable: true, arguments: { 'x-queue-type': 'stream' } } } },
      publications: { event: { queue } },
      subscriptions: { events: { queue, options: { arguments: { 'x-stream-offset': 'first' } } } },
    },
    async (broker) => {
      for (let n = 0; n < 5; n++) await publish(broker, 'event', `${n}`);
      for (let time = 0; time < 2; time++) {
        const seen = new Heard();
        const subscription = await subscribe(broker, 'events', (message, content, ackOrNack) => {
          seen.push([content, message.properties.headers['x-stream-offset']]);
          ackOrNack();
        });
        assert.deepEqual(
          await seen.first(5),
          Array.from({ length: 5 }, (_, n) => [`${n}`, n]),
        );
        await subscription.cancel();
      }
    },
  );
}

async function whatIsMissing() {
  const queue = unique('q');
  await assert.rejects(
    withBroker({ queues: { [queue]: { assert: false, check: true } } }, () => undefined),
    /NOT_FOUND/,
  );
  await withBroker(
    { publications: { lost: { exchange: '', routingKey: queue }, wrong: { exchange: '' } } },
    async (broker) => {
      assert.deepEqual(await publish(broker, 'lost', 'm'), [312]);
    },
  );
}

async function aQueueThatIsDeleted() {
  await withBroker(
    {
      queues: { jobs: {} },
      publications: { job: { queue: 'jobs' } },
      subscriptions: { jobs: { queue: 'jobs', retry: { min: 100, max: 200 } } },
    },
    async (broker) => {
      const subscription = await broker.subscribe('jobs');
      const told = new Heard();
      subscription
        .on('message', (_message, _content, ackOrNack) => ackOrNack())
        .on('cancelled', (error) => told.push(error.message))
        .on('error', (error) => told.push(error.message));
      const other = await amqplib.connect(URL);
      await (await other.createChannel()).deleteQueue('jobs');
      await other.close();
      assert.match((await told.first(1))[0], /cancelled/);
    },
  );
}

async function theBrokerComesBack() {
  await withBroker(
    {
      queues: { jobs: {} },
      publications: { job: { queue: 'jobs' } },
      subscriptions: { jobs: { queue: 'jobs', retry: { min: 100, max: 200 } } },
    },
    async (broker) => {
      const seen = new Heard();
      await subscribe(broker, 'jobs', (_message, content, ackOrNack) => {
        seen.push(content);
        ackOrNack();
      });
      await publish(broker, 'job', 'before');
      await seen.first(1);
      await restartBroker();
      await until(
        () =>
          publish(broker, 'job', 'behind').then(
            () => true,
            () => false,
          ),
        'publishing',
      );
      await until(() => seen.all.includes('behind'), 'what was published behind it');
    },
  );
}

await run({
  'publish and subscribe': publishAndSubscribe,
  'delayed retries': delayedRetries,
  republishing,
  redeliveries,
  shovels,
  'replies go to the one who asked': repliesGoToTheOneWhoAsked,
  streams,
  'what is missing': whatIsMissing,
  'a queue that is deleted': aQueueThatIsDeleted,
  'the broker comes back': theBrokerComesBack,
});
