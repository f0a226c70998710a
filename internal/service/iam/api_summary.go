package iam

import (
	"context"
	"slices"

	"moat/internal/store"
	"moat/internal/wire/iamapi"
)

// GetAccountSummary implements iamapi.Service: what there is, and the quotas that
// are enforced.
func (s *Service) GetAccountSummary(ctx context.Context, _ *iamapi.GetAccountSummaryInput) (*iamapi.GetAccountSummaryResponse, error) {
	m := map[string]int32{
		"UsersQuota": maxUsers, "GroupsQuota": maxAccountGroups, "RolesQuota": maxRoles, "PoliciesQuota": maxPolicies, "InstanceProfilesQuota": maxProfiles,
		"ServerCertificatesQuota": maxServerCertificates, "UserPolicySizeQuota": maxUserInline, "GroupPolicySizeQuota": maxGroupInline, "RolePolicySizeQuota": maxRoleInline,
		"AssumeRolePolicySizeQuota": maxTrustSize, "PolicySizeQuota": maxPolicySize, "GroupsPerUserQuota": maxGroups, "SigningCertificatesPerUserQuota": maxSigning,
		"AccessKeysPerUserQuota": maxKeys, "AttachedPoliciesPerUserQuota": maxAttached, "AttachedPoliciesPerGroupQuota": maxAttached, "AttachedPoliciesPerRoleQuota": maxAttached,
		"VersionsPerPolicyQuota": maxVersions, "PolicyVersionsInUseQuota": maxPolicies * maxVersions, "GlobalEndpointTokenVersion": 2,
		"AccountMFAEnabled": 0, "AccountPasswordPresent": 0, "AccountSigningCertificatesPresent": 0, "AccountAccessKeysPresent": 0,
	}
	if s.root.Load() != nil {
		m["AccountAccessKeysPresent"] = 1
	}
	return &iamapi.GetAccountSummaryResponse{SummaryMap: m}, s.db.View(ctx, func(tx *store.Tx) error {
		all := store.Query{Prefix: []string{s.cfg.Account}}
		for name, count := range map[string]func(*store.Tx, store.Query) (int, error){
			"Users": s.t.users.Count, "Groups": s.t.groups.Count, "Roles": s.t.roles.Count, "InstanceProfiles": s.t.profiles.Count, "ServerCertificates": s.t.serverCerts.Count,
		} {
			n, err := count(tx, all)
			if err != nil {
				return err
			}
			m[name] = int32(n)
		}
		oidc, err := s.t.providers.Count(tx, all)
		if err != nil {
			return err
		}
		saml, err := s.t.saml.Count(tx, all)
		if err != nil {
			return err
		}
		policies, err := s.t.policies.List(tx, all)
		if err != nil {
			return err
		}
		versions := 0
		for _, p := range policies {
			versions += len(p.Versions)
		}
		devices, err := s.t.devices.List(tx, all)
		m["Providers"], m["Policies"], m["PolicyVersionsInUse"], m["MFADevices"] = int32(oidc+saml), int32(len(policies)), int32(versions), int32(len(devices))
		m["MFADevicesInUse"] = int32(len(slices.DeleteFunc(devices, func(d MFADevice) bool { return d.User == "" })))
		return err
	})
}
