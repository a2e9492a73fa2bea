/**
 * DescribeLogDirs (key 35): sizes of the data directories and of the partitions in them.
 *
 * Null topics are all topics. v2 is flexible; v4 answers total and usable bytes of the volume
 * (KIP-827), -1 when unknown; v5 says whether a directory is cordoned.
 */
import {
  array,
  bool,
  int16,
  int32,
  int64,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const describeLogDirsRequest = message({
  name: 'DescribeLogDirsRequest',
  versions: '1-5',
  flexible: '2+',
  fields: {
    topics: array(
      '0+',
      {
        topic: string('0+'),
        partitions: array('0+', 'int32'),
      },
      { nullable: '0+' },
    ),
  },
});

export const describeLogDirsResponse = message({
  name: 'DescribeLogDirsResponse',
  versions: '1-5',
  flexible: '2+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('3+', { ignorable: true }),
    results: array('0+', {
      errorCode: int16('0+'),
      logDir: string('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
          partitionSize: int64('0+'),
          offsetLag: int64('0+'),
          isFutureKey: bool('0+'),
        }),
      }),
      totalBytes: int64('4+', { default: -1, ignorable: true }),
      usableBytes: int64('4+', { default: -1, ignorable: true }),
      isCordoned: bool('5+', { default: false, ignorable: true }),
    }),
  },
});

export type DescribeLogDirsRequest = Infer<typeof describeLogDirsRequest>;
export type DescribeLogDirsRequestInput = InferInput<typeof describeLogDirsRequest>;
export type DescribeLogDirsResponse = Infer<typeof describeLogDirsResponse>;
export type DescribeLogDirsResponseInput = InferInput<typeof describeLogDirsResponse>;
