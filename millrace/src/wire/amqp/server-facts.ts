/** What a Millrace says of itself beyond what RabbitMQ does. */

/** A property of the server: the most bytes that the body of a message may have. */
export const MESSAGE_BYTES_MAX = 'millrace.message.max.bytes';
