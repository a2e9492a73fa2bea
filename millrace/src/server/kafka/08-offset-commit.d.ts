import type {
  OffsetCommitRequest,
  OffsetCommitResponseInput,
} from '../../wire/kafka/messages/08-offset-commit.ts';
import { type Api } from './api.ts';
export declare const offsetCommitApi: Api<OffsetCommitRequest, OffsetCommitResponseInput>;
