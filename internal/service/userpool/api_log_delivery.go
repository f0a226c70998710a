package userpool

import (
	"context"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// SetLogDeliveryConfiguration takes the empty configuration, which is what there is:
// events stay where AdminListUserAuthEvents reads them.
func (s *Service) SetLogDeliveryConfiguration(ctx context.Context, in *api.SetLogDeliveryConfigurationRequest) (*api.SetLogDeliveryConfigurationResponse, error) {
	if err := s.view(ctx, func(tx *store.Tx) error { _, err := s.poolHere(ctx, tx, in.UserPoolId); return err }); err != nil {
		return nil, err
	}
	if len(in.LogConfigurations) > 0 {
		return nil, notImplemented("SetLogDeliveryConfiguration", "events are not delivered to log groups, buckets or streams yet; AdminListUserAuthEvents has them.")
	}
	return &api.SetLogDeliveryConfigurationResponse{LogDeliveryConfiguration: noDelivery(in.UserPoolId)}, nil
}

// GetLogDeliveryConfiguration shows that nothing is delivered.
func (s *Service) GetLogDeliveryConfiguration(ctx context.Context, in *api.GetLogDeliveryConfigurationRequest) (*api.GetLogDeliveryConfigurationResponse, error) {
	if err := s.view(ctx, func(tx *store.Tx) error { _, err := s.poolHere(ctx, tx, in.UserPoolId); return err }); err != nil {
		return nil, err
	}
	return &api.GetLogDeliveryConfigurationResponse{LogDeliveryConfiguration: noDelivery(in.UserPoolId)}, nil
}

func noDelivery(poolID string) *api.LogDeliveryConfigurationType {
	return &api.LogDeliveryConfigurationType{UserPoolId: poolID, LogConfigurations: []api.LogConfigurationType{}}
}
