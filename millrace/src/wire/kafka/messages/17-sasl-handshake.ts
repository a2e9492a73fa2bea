/**
 * SaslHandshake (key 17): chooses a SASL mechanism.
 *
 * After v0 bare SASL tokens follow on the connection; after v1 SaslAuthenticate requests (KIP-152).
 * Never flexible.
 */
import { array, int16, message, string, type Infer, type InferInput } from '../schema.ts';

export const saslHandshakeRequest = message({
  name: 'SaslHandshakeRequest',
  versions: '0-1',
  flexible: 'none',
  fields: {
    mechanism: string('0+'),
  },
});

export const saslHandshakeResponse = message({
  name: 'SaslHandshakeResponse',
  versions: '0-1',
  flexible: 'none',
  fields: {
    errorCode: int16('0+'),
    mechanisms: array('0+', 'string'),
  },
});

export type SaslHandshakeRequest = Infer<typeof saslHandshakeRequest>;
export type SaslHandshakeRequestInput = InferInput<typeof saslHandshakeRequest>;
export type SaslHandshakeResponse = Infer<typeof saslHandshakeResponse>;
export type SaslHandshakeResponseInput = InferInput<typeof saslHandshakeResponse>;
