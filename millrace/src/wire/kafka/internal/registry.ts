/** All definitions that are not requests or responses, for tests and for tools that print internal records. */
import type { Message } from '../schema.ts';
import { consumerProtocolAssignment, consumerProtocolSubscription } from './consumer-protocol.ts';
import { controlRecordKey, endTxnMarker } from './control-record.ts';
import { groupMetadataKey, groupMetadataValue } from './group-metadata.ts';
import { offsetCommitKey, offsetCommitValue } from './offset-commit.ts';
import { transactionLogKey, transactionLogValue } from './transaction-log.ts';

export const INTERNAL_MESSAGES: readonly Message[] = [
  offsetCommitKey,
  offsetCommitValue,
  groupMetadataKey,
  groupMetadataValue,
  transactionLogKey,
  transactionLogValue,
  controlRecordKey,
  endTxnMarker,
  consumerProtocolSubscription,
  consumerProtocolAssignment,
];
