/** Contents that outlive what they came with. */
import type { Content } from '../../wire/amqp/frames.ts';

/** What does not lie in the chunk may be written over before the chunk is done with. */
export function lasting(content: Content, chunk: Buffer | undefined): Content {
  const { properties, body, isOwned } = content;
  const memory = chunk?.buffer;
  if (properties.buffer === memory && (body.buffer === memory || isOwned)) return content;
  return {
    properties: Buffer.from(properties),
    body: isOwned || body.buffer === memory ? body : Buffer.from(body),
    isOwned,
  };
}
