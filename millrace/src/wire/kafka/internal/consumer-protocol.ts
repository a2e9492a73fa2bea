/**
 * What the members of a consumer group send each other through the coordinator, which does not look inside: the
 * subscription in JoinGroup's metadata, the assignment in SyncGroup. Both have their version in front (versioned.ts).
 *
 * v1 has the partitions that a member still owns (KIP-429), v2 the generation they are from (KIP-792), v3 the rack
 * (KIP-881). Readers of a newer version read it as the newest they know and ignore what is left.
 */
import { array, bytes, int32, message, string, type Infer, type InferInput } from '../schema.ts';

export const consumerProtocolSubscription = message({
  name: 'ConsumerProtocolSubscription',
  versions: '0-3',
  flexible: 'none',
  fields: {
    topics: array('0+', 'string'),
    userData: bytes('0+', { nullable: '0+', default: null }),
    ownedPartitions: array(
      '1+',
      {
        topic: string('1+'),
        partitions: array('1+', 'int32'),
      },
      { default: [], ignorable: true },
    ),
    generationId: int32('2+', { default: -1, ignorable: true }),
    rackId: string('3+', { nullable: '3+', default: null, ignorable: true }),
  },
});

export const consumerProtocolAssignment = message({
  name: 'ConsumerProtocolAssignment',
  versions: '0-3',
  flexible: 'none',
  fields: {
    assignedPartitions: array('0+', {
      topic: string('0+'),
      partitions: array('0+', 'int32'),
    }),
    userData: bytes('0+', { nullable: '0+', default: null }),
  },
});

export type ConsumerProtocolSubscription = Infer<typeof consumerProtocolSubscription>;
export type ConsumerProtocolSubscriptionInput = InferInput<typeof consumerProtocolSubscription>;
export type ConsumerProtocolAssignment = Infer<typeof consumerProtocolAssignment>;
export type ConsumerProtocolAssignmentInput = InferInput<typeof consumerProtocolAssignment>;
