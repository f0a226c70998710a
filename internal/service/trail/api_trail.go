package trail

import (
	"context"
	"strings"
	"time"

	"moat/internal/pure/lazyregexp"
	"moat/internal/wire"
	api "moat/internal/wire/cloudtrailapi"
)

// trailName is the name of the one trail there is. It spans all regions, and nobody can stop it.
const trailName = "moat"

func (s *Service) trailARN() string {
	return "arn:aws:cloudtrail:" + s.cfg.Region + ":" + s.cfg.Account + ":trail/" + trailName
}

func (s *Service) trail() api.Trail {
	return api.Trail{
		Name: wire.String(trailName), TrailARN: wire.String(s.trailARN()), HomeRegion: wire.String(s.cfg.Region), IsMultiRegionTrail: wire.Bool(true),
		IncludeGlobalServiceEvents: wire.Bool(true), LogFileValidationEnabled: wire.Bool(true), HasCustomEventSelectors: wire.Bool(false),
		HasInsightSelectors: wire.Bool(false), IsOrganizationTrail: wire.Bool(false),
	}
}

// named tells whether a name or an ARN means the trail.
func (s *Service) named(name string) bool { return name == trailName || name == s.trailARN() }

var nameSyntax = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{1,126}[A-Za-z0-9]$`)

func (s *Service) unknown(name string) error {
	if !strings.HasPrefix(name, "arn:") && !nameSyntax.MatchString(name) {
		return &api.InvalidTrailNameException{Message: "Trail name must be between 3 and 128 letters, digits, periods, underscores and hyphens."}
	}
	return &api.TrailNotFoundException{Message: "Unknown trail: " + name + " for the user: " + s.cfg.Account}
}

// DescribeTrails describes the trail, or those of the names given that are it.
func (s *Service) DescribeTrails(_ context.Context, in *api.DescribeTrailsRequest) (*api.DescribeTrailsResponse, error) {
	out := &api.DescribeTrailsResponse{TrailList: []api.Trail{}}
	if len(in.TrailNameList) == 0 {
		out.TrailList = append(out.TrailList, s.trail())
	}
	for _, name := range in.TrailNameList {
		if s.named(name) {
			out.TrailList = append(out.TrailList, s.trail())
		}
	}
	return out, nil
}

// GetTrail describes the trail.
func (s *Service) GetTrail(_ context.Context, in *api.GetTrailRequest) (*api.GetTrailResponse, error) {
	if !s.named(in.Name) {
		return nil, s.unknown(in.Name)
	}
	t := s.trail()
	return &api.GetTrailResponse{Trail: &t}, nil
}

// ListTrails names the trail.
func (s *Service) ListTrails(_ context.Context, in *api.ListTrailsRequest) (*api.ListTrailsResponse, error) {
	if in.NextToken != nil {
		return &api.ListTrailsResponse{Trails: []api.TrailInfo{}}, nil // the first page is the last
	}
	t := s.trail()
	return &api.ListTrailsResponse{Trails: []api.TrailInfo{{Name: t.Name, TrailARN: t.TrailARN, HomeRegion: t.HomeRegion}}}, nil
}

// GetTrailStatus says since when this node writes the trail, and whether it can.
func (s *Service) GetTrailStatus(_ context.Context, in *api.GetTrailStatusRequest) (*api.GetTrailStatusResponse, error) {
	if !s.named(in.Name) {
		return nil, s.unknown(in.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &api.GetTrailStatusResponse{IsLogging: wire.Bool(s.folder != nil && !s.failing)}
	if !s.started.IsZero() {
		out.StartLoggingTime, out.TimeLoggingStarted = wire.Time(s.started), wire.String(s.started.UTC().Format(time.RFC3339))
	}
	if !s.written.IsZero() {
		out.LatestDeliveryTime = wire.Time(s.written)
	}
	if s.problem != "" {
		out.LatestDeliveryError = wire.String("the trail cannot be written")
	}
	return out, nil
}

// resources names the trail that a call acts on; other calls act on "*".
func resources(c *wire.Call, _ string, in any) []wire.Need {
	name := wire.Member(in, "Name")
	switch {
	case name == "":
		return nil
	case !strings.HasPrefix(name, "arn:"):
		name = "arn:aws:cloudtrail:" + c.Region + ":" + c.Account + ":trail/" + name
	}
	return wire.Needs(nil, name)
}
