/**
 * Heartbeat (key 12): keeps a member of a classic group alive, and tells it of a rebalance.
 *
 * v3 has static members (KIP-345); v4 is flexible.
 */
import { int16, int32, message, string, type Infer, type InferInput } from '../schema.ts';

export const heartbeatRequest = message({
  name: 'HeartbeatRequest',
  versions: '0-4',
  flexible: '4+',
  fields: {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
  },
});

export const heartbeatResponse = message({
  name: 'HeartbeatResponse',
  versions: '0-4',
  flexible: '4+',
  fields: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: int16('0+'),
  },
});

export type HeartbeatRequest = Infer<typeof heartbeatRequest>;
export type HeartbeatRequestInput = InferInput<typeof heartbeatRequest>;
export type HeartbeatResponse = Infer<typeof heartbeatResponse>;
export type HeartbeatResponseInput = InferInput<typeof heartbeatResponse>;
