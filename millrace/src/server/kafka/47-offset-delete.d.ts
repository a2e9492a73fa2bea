import type {
  OffsetDeleteRequest,
  OffsetDeleteResponseInput,
} from '../../wire/kafka/messages/47-offset-delete.ts';
import { type Api } from './api.ts';
export declare const offsetDeleteApi: Api<OffsetDeleteRequest, OffsetDeleteResponseInput>;
