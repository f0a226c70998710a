package iam

import (
	"context"
	"fmt"
	"io"
	"time"

	"moat/internal/pure/uuid"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// linkedPath is where roles stand that belong to a service.
const linkedPath = "/aws-service-role/"

// linkedRole is what AWS calls a service's own role, and its policy.
type linkedRole struct{ role, policy string }

// linkedRoleOf returns the role of a service of this installation ("AWS services
// that work with IAM"); none of these takes a suffix.
func linkedRoleOf(service string) (linkedRole, bool) {
	r, ok := map[string]linkedRole{
		"ops.apigateway.amazonaws.com":    {"AWSServiceRoleForAPIGateway", "APIGatewayServiceRolePolicy"},
		"cloudtrail.amazonaws.com":        {"AWSServiceRoleForCloudTrail", "CloudTrailServiceRolePolicy"},
		"cognito-idp.amazonaws.com":       {"AWSServiceRoleForAmazonCognitoIdp", "AmazonCognitoIdpServiceRolePolicy"},
		"email.cognito-idp.amazonaws.com": {"AWSServiceRoleForAmazonCognitoIdpEmailService", "AmazonCognitoIdpEmailServiceRolePolicy"},
		"replicator.lambda.amazonaws.com": {"AWSServiceRoleForLambdaReplicator", "AWSLambdaReplicator"},
	}[service]
	return r, ok
}

// unprotected refuses to change a service-linked role: its service alone may.
func (r *Role) unprotected() error {
	if r.Linked == "" {
		return nil
	}
	return &iamapi.UnmodifiableEntityException{Message: fmt.Sprintf("Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS", r.Name)}
}

// Deletion is the task that deleted a service-linked role.
type Deletion struct {
	Account, ID string
	Done        time.Time
}

// deletionKept is how long the state of a deletion can be asked for.
const deletionKept = 30 * 24 * time.Hour

func newDeletionTable() *store.Table[Deletion] {
	return store.NewTable(store.Schema[Deletion]{
		Name: "iam_role_deletions", Key: []string{"account", "id"},
		KeyOf:   func(d *Deletion) []string { return []string{d.Account, d.ID} },
		Expires: func(d *Deletion) time.Time { return d.Done.Add(deletionKept) },
	})
}

// CreateServiceLinkedRole implements iamapi.Service.
func (s *Service) CreateServiceLinkedRole(ctx context.Context, in *iamapi.CreateServiceLinkedRoleRequest) (*iamapi.CreateServiceLinkedRoleResponse, error) {
	service := in.AWSServiceName
	known, ok := linkedRoleOf(service)
	switch {
	case !ok:
		return nil, invalidInput("Service role creation is not supported for the service principal %s", service)
	case in.CustomSuffix != nil:
		return nil, invalidInput("Custom suffix is not allowed for %s", service)
	}
	id, err := s.newID("AROA", entityIDLength)
	if err != nil {
		return nil, err
	}
	r := Role{
		Account: s.cfg.Account, Name: known.role, Path: linkedPath + service + "/", ID: id, Created: s.now(), Linked: service,
		Description: wire.Value(in.Description), MaxSession: defaultSession,
		Trust:    `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`,
		Policies: Policies{Attached: []string{managedPrefix + "aws-service-role/" + known.policy}},
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		return or(s.t.roles.Insert(tx, r), nil, invalidInput("Service role name %s has been taken in this account, please try a different suffix.", r.Name))
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.CreateServiceLinkedRoleResponse{Role: s.roleOut(&r, roleCreated)}, nil
}

// DeleteServiceLinkedRole implements iamapi.Service. The role is gone when it
// returns: nothing here keeps what would still need it.
func (s *Service) DeleteServiceLinkedRole(ctx context.Context, in *iamapi.DeleteServiceLinkedRoleRequest) (*iamapi.DeleteServiceLinkedRoleResponse, error) {
	id, err := s.newUUID()
	if err != nil {
		return nil, err
	}
	d := Deletion{Account: s.cfg.Account, Done: s.now()}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		r, err := s.getRole(tx, in.RoleName)
		if err != nil {
			return err
		}
		if r.Linked == "" {
			return noRole(in.RoleName)
		}
		d.ID = "task" + r.Path + r.Name + "/" + id
		if err := s.t.deletions.Insert(tx, d); err != nil {
			return err
		}
		return s.t.roles.Delete(tx, s.cfg.Account, lower(r.Name))
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.DeleteServiceLinkedRoleResponse{DeletionTaskId: d.ID}, nil
}

// GetServiceLinkedRoleDeletionStatus implements iamapi.Service.
func (s *Service) GetServiceLinkedRoleDeletionStatus(ctx context.Context, in *iamapi.GetServiceLinkedRoleDeletionStatusRequest) (*iamapi.GetServiceLinkedRoleDeletionStatusResponse, error) {
	missing := noSuch("Deletion task with id %s cannot be found.", in.DeletionTaskId)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		d, err := s.t.deletions.Get(tx, s.cfg.Account, in.DeletionTaskId)
		if err == nil && !s.cfg.Now().Before(d.Done.Add(deletionKept)) {
			return missing
		}
		return or(err, missing, nil)
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.GetServiceLinkedRoleDeletionStatusResponse{Status: "SUCCEEDED"}, nil
}

// newUUID makes a random UUID (RFC 9562, version 4).
func (s *Service) newUUID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(&s.rand, b[:]); err != nil {
		return "", err
	}
	return uuid.V4(b), nil
}
