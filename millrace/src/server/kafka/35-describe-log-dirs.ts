/**
 * DescribeLogDirs (key 35), versions 1-5.
 *
 * Behaviour:
 * - One directory, the data directory, with the size of each partition that was asked for and the bytes that are left
 *   on its device.
 *
 * Deviations:
 * - The size of the device is not told (-1).
 *
 * Source: KIP-113, KIP-827.
 */
import type { Topic } from '../../broker/topics.ts';
import type {
  DescribeLogDirsRequest,
  DescribeLogDirsResponseInput,
} from '../../wire/kafka/messages/35-describe-log-dirs.ts';
import { defineApi, type Api } from './api.ts';

export const describeLogDirsApi: Api<DescribeLogDirsRequest, DescribeLogDirsResponseInput> =
  defineApi({
    key: 35,
    name: 'DescribeLogDirs',
    minVersion: 1,
    maxVersion: 5,
    handle: async (request, { broker }) => {
      const { env, dataDir } = broker;
      const usableBytes = await env.fs.freeBytes(dataDir);
      const asked =
        request.topics === null
          ? broker.topics.all().map((topic) => ({ topic, partitions: undefined }))
          : request.topics.map(({ topic, partitions }) => ({
              topic: broker.topics.get(topic),
              partitions,
            }));
      return {
        errorCode: 0,
        results: [
          {
            errorCode: 0,
            logDir: dataDir,
            usableBytes,
            topics: asked.flatMap(({ topic, partitions }) =>
              topic === undefined ? [] : [sizes(topic, partitions)],
            ),
          },
        ],
      };
    },
  });

function sizes(topic: Topic, partitions: readonly number[] | undefined) {
  return {
    name: topic.name,
    partitions: [...(partitions ?? topic.partitions.keys())].flatMap((partitionIndex) => {
      const log = topic.partitions[partitionIndex];
      return log === undefined
        ? []
        : [{ partitionIndex, partitionSize: log.sizeBytes, offsetLag: 0, isFutureKey: false }];
    }),
  };
}
