/** Tells from the first bytes of a connection what speaks something else than Kafka, so that the log can say so. */

const HTTP = /^(?:GET |HEAD|POST|PUT |DELE|OPTI|PATC|CONN|TRAC|PRI )/;
const TLS_HANDSHAKE = 0x16;
const TLS_MAJOR_VERSION = 3;

/** What seems to talk there, or undefined. */
export function foreignProtocol(firstBytes: Buffer): string | undefined {
  if (HTTP.test(firstBytes.toString('latin1')))
    return 'an HTTP client talks to the Kafka port: is the port right?';
  if (firstBytes[0] === TLS_HANDSHAKE && firstBytes[1] === TLS_MAJOR_VERSION)
    return 'a TLS client talks to the Kafka port, which has no TLS: set security.protocol to plaintext';
  if (firstBytes.toString('latin1', 0, 4) === 'AMQP')
    return 'an AMQP client talks to the Kafka port: is the port right?';
  return undefined;
}
