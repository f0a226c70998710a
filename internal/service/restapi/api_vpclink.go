package restapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"moat/internal/gateway"
	"moat/internal/pure/arn"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// link is a VPC link. There is no VPC here: the load balancer that a link names stands for the
// targets that the operator has given that name.
type link struct {
	Account, Region, ID string
	Link                apigatewayapi.VpcLink // its status is told anew each time
}

// CreateVpcLink makes a link to the targets of a load balancer's name.
func (s *Service) CreateVpcLink(ctx context.Context, in *apigatewayapi.CreateVpcLinkRequest) (*apigatewayapi.VpcLink, error) {
	if in.Name == "" {
		return nil, badRequest("Name cannot be empty")
	}
	if len(in.TargetArns) != 1 {
		return nil, badRequest("A VPC link has exactly one target")
	}
	if _, err := balancer(in.TargetArns[0]); err != nil {
		return nil, err
	}
	id, err := s.id(shortID)
	if err != nil {
		return nil, err
	}
	p := s.place(ctx)
	rec := link{Account: p.account, Region: p.region, ID: id, Link: apigatewayapi.VpcLink{
		Id: &id, Name: &in.Name, Description: in.Description, TargetArns: in.TargetArns, Tags: in.Tags,
	}}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := room(s, tx, s.tables.links, "vpc-links", "VPC Links", "", p.account, p.region); err != nil {
			return err
		}
		return s.tables.links.Insert(tx, rec)
	})
	if err != nil {
		return nil, err
	}
	return s.shownLink(rec), nil
}

// balancer reads the name of a network load balancer's ARN.
func balancer(target string) (string, error) {
	a, err := arn.Parse(target)
	if err != nil {
		return "", badRequest("Invalid ARN. ARN is not well formed %s", target)
	}
	part := strings.Split(a.Resource, "/")
	if a.Service != "elasticloadbalancing" || len(part) != 4 || part[0] != "loadbalancer" || part[1] != "net" || part[2] == "" {
		return "", badRequest("Invalid ARN. ARN is not that of a network load balancer %s", target)
	}
	return part[2], nil
}

// targets are what the operator lets a link reach.
func (s *Service) targets(l link) []string {
	name, err := balancer(l.Link.TargetArns[0])
	if err != nil {
		return nil
	}
	return s.cfg.Targets[name]
}

// shownLink is a link with its status: whether its targets are known today.
func (s *Service) shownLink(l link) *apigatewayapi.VpcLink {
	out := l.Link
	if out.Status = apigatewayapi.VpcLinkStatusAVAILABLE; len(s.targets(l)) == 0 {
		name, _ := balancer(l.Link.TargetArns[0]) // it was read when the link was made
		out.Status = apigatewayapi.VpcLinkStatusFAILED
		out.StatusMessage = wire.String(fmt.Sprintf("The operator has named no targets for the load balancer %s (--vpc-link %s=host:port)", name, name))
	}
	return &out
}

func (s *Service) link(tx *store.Tx, p place, id string) (link, error) {
	l, err := s.tables.links.Get(tx, p.key(id)...)
	if errors.Is(err, store.ErrNotFound) {
		return l, notFound("Invalid Vpc Link identifier specified")
	}
	return l, err
}

// GetVpcLink returns a link.
func (s *Service) GetVpcLink(ctx context.Context, in *apigatewayapi.GetVpcLinkRequest) (*apigatewayapi.VpcLink, error) {
	var l link
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		l, err = s.link(tx, s.place(ctx), in.VpcLinkId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.shownLink(l), nil
}

// GetVpcLinks lists the links.
func (s *Service) GetVpcLinks(ctx context.Context, in *apigatewayapi.GetVpcLinksRequest) (*apigatewayapi.VpcLinks, error) {
	out, p := &apigatewayapi.VpcLinks{}, s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		all, err := s.tables.links.List(tx, store.Query{Prefix: p.key()})
		if err != nil {
			return err
		}
		items := make([]apigatewayapi.VpcLink, len(all))
		for i, l := range all {
			items[i] = *s.shownLink(l)
		}
		out.Items, out.Position, err = cut(s.listing(ctx), items, func(l apigatewayapi.VpcLink) string { return *l.Id }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateVpcLink patches a link's name and description.
func (s *Service) UpdateVpcLink(ctx context.Context, in *apigatewayapi.UpdateVpcLinkRequest) (*apigatewayapi.VpcLink, error) {
	l, err := amend(ctx, s, func(tx *store.Tx) (link, error) { return s.link(tx, s.place(ctx), in.VpcLinkId) }, func(tx *store.Tx, l *link) error {
		if err := linkRules().apply(&l.Link, in.PatchOperations); err != nil {
			return err
		}
		if wire.Value(l.Link.Name) == "" {
			return badRequest("Name cannot be empty")
		}
		return nil
	}, s.tables.links.Put)
	if err != nil {
		return nil, err
	}
	return s.shownLink(l), nil
}

// DeleteVpcLink deletes a link that no stage's integrations name.
func (s *Service) DeleteVpcLink(ctx context.Context, in *apigatewayapi.DeleteVpcLinkRequest) (*apigatewayapi.DeleteVpcLinkOutput, error) {
	p := s.place(ctx)
	return &apigatewayapi.DeleteVpcLinkOutput{}, s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.link(tx, p, in.VpcLinkId); err != nil {
			return err
		}
		used, err := s.linked(tx, p, in.VpcLinkId)
		if err != nil {
			return err
		}
		if len(used) > 0 {
			return badRequest("Cannot delete vpc link. Vpc link '%s', is referenced in [%s] in format of [Method:Resource:Stage].", in.VpcLinkId, strings.Join(used, ", "))
		}
		return s.tables.links.Delete(tx, p.key(in.VpcLinkId)...)
	})
}

// linked lists the deployed methods that go through a link, as Method:Resource:Stage.
func (s *Service) linked(tx *store.Tx, p place, id string) ([]string, error) {
	stages, err := s.tables.stages.List(tx, store.Query{Prefix: p.key()})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, st := range stages {
		d, err := s.tables.deployments.Get(tx, p.key(st.API, wire.Value(st.Stage.DeploymentId))...)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, r := range d.Definition.sorted() {
			for _, verb := range slices.Sorted(maps.Keys(r.ResourceMethods)) {
				i := r.ResourceMethods[verb].MethodIntegration
				if i != nil && i.ConnectionType == apigatewayapi.ConnectionTypeVPC_LINK && stageText(wire.Value(i.ConnectionId), st.Stage.Variables) == id {
					out = append(out, verb+":"+wire.Value(r.Id)+":"+st.Name)
				}
			}
		}
	}
	return out, nil
}

// stageText puts stage variables into a text.
func stageText(text string, variables map[string]string) string {
	for name, value := range variables {
		text = strings.ReplaceAll(text, "${stageVariables."+name+"}", value)
	}
	return text
}

// connect gives a definition what its connections to backends need: the stage's client certificate
// and the VPC links.
func (s *Service) connect(tx *store.Tx, def *gateway.Definition, st stage) (err error) {
	p := place{st.Account, st.Region}
	if def.ClientCertificate, err = s.clientCertificate(tx, p, wire.Value(st.Stage.ClientCertificateId)); err != nil {
		var missing *apigatewayapi.NotFoundException
		if errors.As(err, &missing) {
			return badRequest("Invalid client certificate ID specified")
		}
		return err
	}
	for _, rt := range def.Routes {
		if rt.Integration.ConnectionType != string(apigatewayapi.ConnectionTypeVPC_LINK) {
			continue
		}
		all, err := s.tables.links.List(tx, store.Query{Prefix: p.key()})
		if err != nil {
			return err
		}
		def.Links = map[string]gateway.Link{}
		for _, l := range all {
			def.Links[l.ID] = gateway.Link{Targets: s.targets(l)}
		}
		break
	}
	return nil
}
