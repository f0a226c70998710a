package iam

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// reportFor is how long a report can be fetched after it was asked for.
const reportFor = 7 * 24 * time.Hour

// AccessReport is what was last used with the permissions of a user, group, role
// or policy, as of its creation.
type AccessReport struct {
	ID, Account, Arn, Granularity string
	Created                       time.Time
	Services                      []ServiceAccess `json:",omitempty"`
	Entities                      []EntityAccess  `json:",omitempty"`
}

// ServiceAccess is the last use of one service, and of each of its actions when
// the report goes into actions. At is zero when there was none.
type ServiceAccess struct {
	Namespace, Name string
	Last            Access
	Entities        int
	Actions         map[string]Access `json:",omitempty"`
}

// Access is one use: when, by whom and where.
type Access struct {
	At          time.Time
	Arn, Region string `json:",omitempty"`
}

// EntityAccess is a user or role that a report is about, with its last use of
// each service.
type EntityAccess struct {
	Arn, Name, Path, ID, Kind string
	Last                      map[string]time.Time `json:",omitempty"`
}

// newReports makes the table of reports.
func newReports() *store.Table[AccessReport] {
	return store.NewTable(store.Schema[AccessReport]{
		Name: "iam_access_reports", Key: []string{"account", "id"},
		KeyOf:   func(r *AccessReport) []string { return []string{r.Account, r.ID} },
		Expires: func(r *AccessReport) time.Time { return r.Created.Add(reportFor) },
	})
}

// GenerateServiceLastAccessedDetails implements iamapi.Service. The report is
// ready at once.
func (s *Service) GenerateServiceLastAccessedDetails(ctx context.Context, in *iamapi.GenerateServiceLastAccessedDetailsRequest) (*iamapi.GenerateServiceLastAccessedDetailsResponse, error) {
	r := AccessReport{Account: s.cfg.Account, Arn: in.Arn, Granularity: string(in.Granularity), Created: s.now()}
	if r.Granularity == "" {
		r.Granularity = "SERVICE_LEVEL"
	}
	var err error
	if r.ID, err = s.newUUID(); err != nil {
		return nil, err
	}
	var docs []*policy.Document
	err = s.db.View(ctx, func(tx *store.Tx) (err error) {
		docs, r.Entities, err = s.accessSubjects(tx, in.Arn)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.fillReport(ctx, &r, docs); err != nil {
		return nil, err
	}
	if err := s.db.Update(ctx, func(tx *store.Tx) error { return s.reports.Insert(tx, r) }); err != nil {
		return nil, err
	}
	return &iamapi.GenerateServiceLastAccessedDetailsResponse{JobId: &r.ID}, nil
}

// accessSubjects gives the policies that a report is about, and the users and
// roles that have them.
func (s *Service) accessSubjects(tx *store.Tx, arn string) (docs []*policy.Document, entities []EntityAccess, err error) {
	if strings.Contains(arn, ":policy/") {
		src, err := s.managedSource(tx, arn)
		if err != nil {
			return nil, nil, or(err, noPolicy(arn), nil)
		}
		docs, err = compileAll([]source{src})
		if err != nil {
			return nil, nil, err
		}
		entities, err = s.policyEntities(tx, arn)
		return docs, entities, err
	}
	g, err := s.grantee(tx, arn)
	if err != nil {
		return nil, nil, err
	}
	if docs, err = compileAll(g.sources); err != nil {
		return nil, nil, err
	}
	if g.kind == "group" {
		entities, err = s.usersOf(tx, g.name)
		return docs, entities, err
	}
	return docs, []EntityAccess{{Arn: g.arn, Name: g.name, Path: g.path, ID: g.id, Kind: strings.ToUpper(g.kind)}}, nil
}

func compileAll(sources []source) ([]*policy.Document, error) {
	out := make([]*policy.Document, len(sources))
	for i, src := range sources {
		d, err := policy.Parse(src.title(), []byte(src.text))
		if err != nil {
			return nil, err
		}
		out[i] = d
	}
	return out, nil
}

// usersOf are the members of a group.
func (s *Service) usersOf(tx *store.Tx, group string) ([]EntityAccess, error) {
	users, err := s.members(tx, group)
	out := make([]EntityAccess, len(users))
	for i, u := range users {
		out[i] = s.userAccess(&u)
	}
	return out, err
}

func (s *Service) userAccess(u *User) EntityAccess {
	return EntityAccess{Arn: s.arn("user", u.Path, u.Name), Name: u.Name, Path: u.Path, ID: u.ID, Kind: "USER"}
}

// policyEntities are the users and roles that have a managed policy, themselves
// or by a group.
func (s *Service) policyEntities(tx *store.Tx, arn string) ([]EntityAccess, error) {
	q := store.Query{Index: "by_policy", Values: []string{s.cfg.Account, arn}}
	users, err := s.t.users.List(tx, q)
	if err != nil {
		return nil, err
	}
	var out []EntityAccess
	for _, u := range users {
		out = append(out, s.userAccess(&u))
	}
	groups, err := s.t.groups.List(tx, q)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		members, err := s.usersOf(tx, g.Name)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if !slices.ContainsFunc(out, func(e EntityAccess) bool { return e.ID == m.ID }) {
				out = append(out, m)
			}
		}
	}
	roles, err := s.t.roles.List(tx, q)
	for _, r := range roles {
		out = append(out, EntityAccess{Arn: s.arn("role", r.Path, r.Name), Name: r.Name, Path: r.Path, ID: r.ID, Kind: "ROLE"})
	}
	return out, err
}

// fillReport looks up what the entities used of the services that the policies
// grant.
func (s *Service) fillReport(ctx context.Context, r *AccessReport, docs []*policy.Document) error {
	for _, svc := range s.services {
		if !slices.ContainsFunc(docs, func(d *policy.Document) bool { return d.GrantsService(svc.namespace) }) {
			continue
		}
		a := ServiceAccess{Namespace: svc.namespace, Name: svc.name}
		if r.Granularity == "ACTION_LEVEL" {
			a.Actions = map[string]Access{}
			for _, action := range svc.actions {
				a.Actions[action] = Access{}
			}
		}
		r.Services = append(r.Services, a)
	}
	for i := range r.Entities {
		e := &r.Entities[i]
		uses, err := s.usesOf(ctx, e.ID)
		if err != nil {
			return err
		}
		e.Last = map[string]time.Time{}
		for _, u := range uses {
			r.note(e, u)
		}
		for i := range r.Services {
			if !e.Last[r.Services[i].Namespace].IsZero() {
				r.Services[i].Entities++
			}
		}
	}
	return nil
}

// note adds one use to a report.
func (r *AccessReport) note(e *EntityAccess, u Use) {
	if u.At.After(e.Last[u.Service]) {
		e.Last[u.Service] = u.At
	}
	i := slices.IndexFunc(r.Services, func(a ServiceAccess) bool { return a.Namespace == u.Service })
	if i < 0 {
		return
	}
	a, use := &r.Services[i], Access{u.At, e.Arn, u.Region}
	if u.At.After(a.Last.At) {
		a.Last = use
	}
	if a.Actions != nil && u.At.After(a.Actions[u.Action].At) {
		a.Actions[u.Action] = use
	}
}

// report reads one that was generated.
func (s *Service) report(ctx context.Context, id string) (r AccessReport, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		r, err = s.reports.Get(tx, s.cfg.Account, id)
		return err
	})
	missing := noSuch("Job ID %s cannot be found.", id)
	if err == nil && !s.cfg.Now().Before(r.Created.Add(reportFor)) {
		return r, missing
	}
	return r, or(err, missing, nil)
}

// GetServiceLastAccessedDetails implements iamapi.Service.
func (s *Service) GetServiceLastAccessedDetails(ctx context.Context, in *iamapi.GetServiceLastAccessedDetailsRequest) (*iamapi.GetServiceLastAccessedDetailsResponse, error) {
	r, err := s.report(ctx, in.JobId)
	if err != nil {
		return nil, err
	}
	some, marker, truncated, err := page(s, "last accessed/"+r.ID, r.Services, func(a *ServiceAccess) string { return a.Namespace }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, invalidInput("Invalid Marker.")
	}
	out := &iamapi.GetServiceLastAccessedDetailsResponse{
		JobStatus: "COMPLETED", JobType: iamapi.AccessAdvisorUsageGranularityType(r.Granularity), JobCreationDate: r.Created, JobCompletionDate: r.Created,
		ServicesLastAccessed: []iamapi.ServiceLastAccessed{}, Marker: marker, IsTruncated: truncated,
	}
	for _, a := range some {
		out.ServicesLastAccessed = append(out.ServicesLastAccessed, a.out())
	}
	return out, nil
}

func (a *ServiceAccess) out() iamapi.ServiceLastAccessed {
	out := iamapi.ServiceLastAccessed{ServiceName: a.Name, ServiceNamespace: a.Namespace, TotalAuthenticatedEntities: wire.Int32(int32(a.Entities))}
	if !a.Last.At.IsZero() {
		out.LastAuthenticated, out.LastAuthenticatedEntity, out.LastAuthenticatedRegion = &a.Last.At, &a.Last.Arn, &a.Last.Region
	}
	for _, name := range sortedKeys(a.Actions) {
		t := iamapi.TrackedActionLastAccessed{ActionName: wire.String(name)}
		if use := a.Actions[name]; !use.At.IsZero() {
			t.LastAccessedTime, t.LastAccessedEntity, t.LastAccessedRegion = &use.At, &use.Arn, &use.Region
		}
		out.TrackedActionsLastAccessed = append(out.TrackedActionsLastAccessed, t)
	}
	return out
}

// GetServiceLastAccessedDetailsWithEntities implements iamapi.Service: who used
// the service comes first, the latest before all others.
func (s *Service) GetServiceLastAccessedDetailsWithEntities(ctx context.Context, in *iamapi.GetServiceLastAccessedDetailsWithEntitiesRequest) (*iamapi.GetServiceLastAccessedDetailsWithEntitiesResponse, error) {
	r, err := s.report(ctx, in.JobId)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(s.services, func(v awsService) bool { return v.namespace == in.ServiceNamespace }) {
		return nil, invalidInput("Invalid Service Namespace: %s", in.ServiceNamespace)
	}
	slices.SortStableFunc(r.Entities, func(a, b EntityAccess) int {
		return b.Last[in.ServiceNamespace].Compare(a.Last[in.ServiceNamespace])
	})
	type placed struct {
		place  string
		entity *EntityAccess
	}
	all := make([]placed, len(r.Entities))
	for i := range r.Entities {
		all[i] = placed{fmt.Sprintf("%06d", i), &r.Entities[i]}
	}
	some, marker, truncated, err := page(s, "last accessed/"+r.ID+"/"+in.ServiceNamespace, all, func(p *placed) string { return p.place }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, invalidInput("Invalid Marker.")
	}
	out := &iamapi.GetServiceLastAccessedDetailsWithEntitiesResponse{
		JobStatus: "COMPLETED", JobCreationDate: r.Created, JobCompletionDate: r.Created, EntityDetailsList: []iamapi.EntityDetails{}, Marker: marker, IsTruncated: truncated,
	}
	for _, p := range some {
		e := p.entity
		d := iamapi.EntityDetails{EntityInfo: &iamapi.EntityInfo{Arn: e.Arn, Id: e.ID, Name: e.Name, Path: &e.Path, Type: iamapi.PolicyOwnerEntityType(e.Kind)}}
		if at := e.Last[in.ServiceNamespace]; !at.IsZero() {
			d.LastAuthenticated = &at
		}
		out.EntityDetailsList = append(out.EntityDetailsList, d)
	}
	return out, nil
}
