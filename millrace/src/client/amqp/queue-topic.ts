/** The topic of a queue: what it is called, and how it is made by whoever speaks Kafka's protocol. */
import { formatQueueDefinition } from '../../broker/exchanges/queue-definition.ts';
import { QUEUE_CONFIG, queueTopicNames } from '../../broker/exchanges/queue-topic.ts';

/** Arguments of a declaration, as far as programs say them. */
export type QueueArguments = Readonly<Record<string, string | number | boolean>>;

export interface QueueTopic {
  readonly name: string;
  readonly partitions: 1;
  readonly configs: Readonly<Record<string, string>>;
}

const VHOST = '/';

/** Of a queue of the virtual host `/`: making the topic declares the queue. */
export function queueTopic(name: string, declared: QueueArguments): QueueTopic {
  const [topic = ''] = queueTopicNames(VHOST, name);
  const definition = { vhost: VHOST, name, autoDelete: false, arguments: declared };
  return {
    name: topic,
    partitions: 1,
    configs: { [QUEUE_CONFIG]: formatQueueDefinition(definition) },
  };
}
