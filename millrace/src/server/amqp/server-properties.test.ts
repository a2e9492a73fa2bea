/** What clients are told at first. */
import { expect, test } from 'vitest';
import { onSimAmqp } from '../../../test/server-amqp/sim-amqp.ts';

async function told(settings: Readonly<Record<string, string>>): Promise<unknown> {
  let said: unknown;
  await onSimAmqp({ settings }, async ({ connect }) => {
    const { product, version } = (await connect()).serverProperties;
    said = { product, version };
  });
  return said;
}

test('the server is Millrace, or says that it is RabbitMQ to clients that want to hear it', async () => {
  expect(await told({})).toEqual({ product: 'Millrace', version: '4.1.0' });
  const settings = { 'millrace.amqp.product': 'RabbitMQ 3.13.0' };
  expect(await told(settings)).toEqual({ product: 'RabbitMQ', version: '3.13.0' });
});
