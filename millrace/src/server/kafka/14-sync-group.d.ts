import type {
  SyncGroupRequest,
  SyncGroupResponseInput,
} from '../../wire/kafka/messages/14-sync-group.ts';
import { type Api } from './api.ts';
export declare const syncGroupApi: Api<SyncGroupRequest, SyncGroupResponseInput>;
