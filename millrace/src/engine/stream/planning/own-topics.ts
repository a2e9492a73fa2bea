/** Settings of the topics that a flow makes for itself. Event times are in their records, whatever the broker thinks of them. */
import type { TopicSpec } from '../../../client/log.ts';

/** What Kafka takes to be no bound. */
const NO_BOUND = '9223372036854775807';

const TIMES: TopicSpec['configs'] = {
  'message.timestamp.type': 'CreateTime',
  'message.timestamp.after.max.ms': NO_BOUND,
};

/** Records are deleted when all have read them, by offset. */
export const REPARTITION_CONFIGS: TopicSpec['configs'] = {
  'cleanup.policy': 'delete',
  'retention.ms': '-1',
  'retention.bytes': '-1',
  ...TIMES,
};

export const CHANGELOG_CONFIGS: TopicSpec['configs'] = { 'cleanup.policy': 'compact', ...TIMES };
