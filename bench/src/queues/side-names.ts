/** The sides of the benchmark of queues, as they are called on the command line and in results. */
export const QUEUE_SIDES = ['millrace', 'rabbitmq-classic', 'rabbitmq-quorum'] as const;
export type QueueSideName = (typeof QUEUE_SIDES)[number];

export const QUEUE_CLIENTS = ['raw', 'amqplib'] as const;
export type QueueClientName = (typeof QUEUE_CLIENTS)[number];

export const QUEUE_SCENARIOS = ['throughput', 'latency', 'backlog'] as const;
export type QueueScenarioName = (typeof QUEUE_SCENARIOS)[number];
