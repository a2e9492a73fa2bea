/** Debian's AMQP command line tools against the broker. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AmqpUnderTest, startAmqpUnderTest, uniqueName } from './amqp-under-test.ts';
import { AMQP_TOOLS_INSTALLED, amqpTool } from './amqp-tools.ts';

describe.skipIf(!AMQP_TOOLS_INSTALLED)('amqp-tools', () => {
  let broker: AmqpUnderTest;
  beforeAll(async () => {
    broker = await startAmqpUnderTest();
  });
  afterAll(() => broker.stop());

  async function ok(args: readonly [string, ...string[]], input?: string): Promise<string> {
    const { code, stdout, stderr } = await amqpTool(broker.url, args, input);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  test('declare, publish, get, consume and delete', async () => {
    const queue = uniqueName('tools');
    expect((await ok(['amqp-declare-queue', '-d', '-q', queue])).trim()).toBe(queue);
    await ok(['amqp-publish', '-r', queue, '-p', '-C', 'text/plain', '-b', 'first']);
    await ok(['amqp-publish', '-r', queue, '-b', 'second']);
    await ok(['amqp-publish', '-r', queue], 'third, from the standard input');
    expect(await ok(['amqp-get', '-q', queue])).toBe('first');
    expect(await ok(['amqp-consume', '-q', queue, '-c', '2', '-A', 'cat'])).toBe(
      'secondthird, from the standard input',
    );
    expect((await amqpTool(broker.url, ['amqp-get', '-q', queue])).code).toBe(2);
    expect((await ok(['amqp-delete-queue', '-q', queue])).trim()).toBe('0');
  });

  test('a line becomes a message', async () => {
    const queue = uniqueName('lines');
    await ok(['amqp-declare-queue', '-d', '-q', queue]);
    await ok(['amqp-publish', '-r', queue, '-l'], 'one\ntwo\nthree\n');
    const lines = await ok(['amqp-consume', '-q', queue, '-c', '3', '-p', '1', 'cat']);
    expect(lines).toBe('one\ntwo\nthree\n');
    await ok(['amqp-delete-queue', '-q', queue]);
  });

  test('an exchange, and a queue of the consumer alone', async () => {
    const consumed = ok(['amqp-consume', '-e', 'amq.topic', '-r', 'tools.#', '-c', '1', 'cat']);
    // It says nothing when it has bound: published until it has seen one.
    const published = async (): Promise<undefined> => {
      await ok(['amqp-publish', '-e', 'amq.topic', '-r', 'tools.a.b', '-b', 'hello']);
    };
    let seen: string | undefined;
    while (seen === undefined) seen = await Promise.race([consumed, published()]);
    expect(seen).toBe('hello');
  });

  test('an error is told', async () => {
    const { code, stderr } = await amqpTool(broker.url, ['amqp-get', '-q', uniqueName('missing')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/NOT_FOUND/);
  });
});
