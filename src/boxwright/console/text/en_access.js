// Sentences about access in English.
export default {
  "access.title": "Members and roles", "access.on": "Of", "access.project": "Project {name}", "access.location": "Location {name}", "access.members": "Who may do what", "access.mine": "What you may do here",
  "access.none": "There are no roles here: everybody who reaches this service may do everything.", "access.unseen": "You may not see who has which role here.", "access.nobody": "Nobody has a role on this itself. Roles on what contains it count here too.",
  "access.member": "Member", "access.role": "Role", "access.take": "Take away", "access.add": "Grant the role", "access.written": "The roles are changed. It counts from the next call on.",
  "access.member.needed": "Type a member first, such as user:ada@example.org.", "access.member.hint": "serviceAccount:, user:, group: or domain: and an address; principal://... or principalSet://... of an identity provider; allAuthenticatedUsers.",
  "access.commands": "Accounts, keys and bucket grants", "access.commands.text": "They are made by commands on the service's machine. Write your own names in place of those in capitals.",
  "role.automl.viewer": "reading", "role.automl.predictor": "predicting", "role.automl.editor": "all but roles", "role.automl.admin": "everything below the project", "role.owner": "everything, the project's roles too", "role.editor": "all but roles, charged to the project",
  "role.viewer": "reading, the project's roles too", "role.boxwright.prioritizer": "batch jobs of high priority", "role.serviceusage.serviceUsageConsumer": "calls that are charged to the project", "role.iam.serviceAccountTokenCreator": "tokens of its accounts",
};
