/**
 * The records of control batches: the key says what happened, the value of a transaction marker which coordinator said so.
 *
 * NOTE: persistent format, shared with Apache Kafka. Source: KIP-98.
 */
import { int16, int32, message, type Infer } from '../schema.ts';

export const controlRecordKey = message({
  name: 'ControlRecordTypeSchema',
  versions: '0',
  flexible: 'none',
  fields: {
    type: int16('0+'),
  },
});

export const endTxnMarker = message({
  name: 'EndTxnMarker',
  versions: '0',
  flexible: 'none',
  fields: {
    coordinatorEpoch: int32('0+'),
  },
});

export type ControlRecordKey = Infer<typeof controlRecordKey>;
export type EndTxnMarker = Infer<typeof endTxnMarker>;
