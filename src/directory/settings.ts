/**
 * What somebody wants to be told of, and how: no part of the record, so without version, log and event.
 * They go with the user.
 */
export const settingNames = [
  'qa_frequency',
  'email_notification_not_qa',
  'mobile_notifications_scmty',
  'toast_notifications_emit_sound',
  'show_toast_notifications',
] as const

export type SettingName = (typeof settingNames)[number]
export type Settings = Readonly<Record<SettingName, number>>

/** The numbers that each takes: -1 is at once, 1 daily and 0 never; for the others, 1 is yes and 0 no. */
export const settingValues: Readonly<Record<SettingName, readonly number[]>> = {
  qa_frequency: [-1, 0, 1],
  email_notification_not_qa: [0, 1],
  mobile_notifications_scmty: [0, 1],
  toast_notifications_emit_sound: [0, 1],
  show_toast_notifications: [0, 1],
}

/** As they are until somebody sets them. */
export const usualSettings: Settings = {
  qa_frequency: 1,
  email_notification_not_qa: 1,
  mobile_notifications_scmty: 1,
  toast_notifications_emit_sound: 1,
  show_toast_notifications: 1,
}

/** Where they are kept. Both may reject with a DirectoryError as the store's other methods do. */
export interface SettingStore {
  /** Of whom none were ever set, none. */
  readonly get: (id: number) => Promise<Partial<Settings>>
  /**
   * Sets those that are named, all or none, and leaves the others; on disk when it resolves. Where nobody
   * is to be seen under the id there is nothing to set.
   */
  readonly set: (id: number, settings: Partial<Settings>) => Promise<void>
}
