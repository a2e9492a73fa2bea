/**
 * SaslAuthenticate (key 36): one step of a SASL exchange after SaslHandshake v1 (KIP-152).
 *
 * v1 answers the session's lifetime (KIP-368), 0 for no limit; v2 is flexible.
 */
import { bytes, int16, int64, message, string, type Infer, type InferInput } from '../schema.ts';

export const saslAuthenticateRequest = message({
  name: 'SaslAuthenticateRequest',
  versions: '0-2',
  flexible: '2+',
  fields: {
    authBytes: bytes('0+'),
  },
});

export const saslAuthenticateResponse = message({
  name: 'SaslAuthenticateResponse',
  versions: '0-2',
  flexible: '2+',
  fields: {
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    authBytes: bytes('0+'),
    sessionLifetimeMs: int64('1+', { default: 0, ignorable: true }),
  },
});

export type SaslAuthenticateRequest = Infer<typeof saslAuthenticateRequest>;
export type SaslAuthenticateRequestInput = InferInput<typeof saslAuthenticateRequest>;
export type SaslAuthenticateResponse = Infer<typeof saslAuthenticateResponse>;
export type SaslAuthenticateResponseInput = InferInput<typeof saslAuthenticateResponse>;
