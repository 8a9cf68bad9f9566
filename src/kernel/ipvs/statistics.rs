//! Reads what the kernel counts, and sets it to zero: only on demand, for a pass needs none of it.

use std::collections::HashMap;

use neli::consts::nl::NlmF;

use super::Ipvs;
use super::codec::statistics;
use super::read::{cross_check_servers, cross_check_services};
use super::totals::whole;
use super::uapi::cmd;
use crate::kernel::statistics::{StatisticsScope, TableStatistics};
use crate::kernel::{KernelError, Query, permitted};
use crate::model::{ServerKey, ServiceKey, Statistics, Table};

impl Ipvs {
    /// What the kernel has counted of these entries. Those that are gone are left out.
    pub(super) fn table_statistics(
        &mut self,
        scope: &StatisticsScope,
    ) -> Result<TableStatistics, KernelError> {
        let services = match &scope.services {
            None => self.all_service_statistics()?.into_iter().collect(),
            Some(keys) => self.some_service_statistics(keys)?,
        };
        let mut servers = HashMap::new();
        if scope.servers {
            let mut expected = 0;
            for service in services.keys() {
                let listed = self.server_statistics(service, &mut expected)?;
                servers.extend(listed.into_iter().map(|(server, of)| ((*service, server), of)));
            }
        }
        let statistics = whole(services, servers);
        Ok(TableStatistics { totals: statistics.totals.filter(|_| scope.totals), ..statistics })
    }

    fn all_service_statistics(&mut self) -> Result<Table<ServiceKey, Statistics>, KernelError> {
        let decode = statistics::of_service;
        self.list(Query::Services, cmd::GET_SERVICE, None, &mut 0, decode, cross_check_services)
    }

    fn some_service_statistics(
        &mut self,
        keys: &[ServiceKey],
    ) -> Result<HashMap<ServiceKey, Statistics>, KernelError> {
        let mut services = HashMap::with_capacity(keys.len());
        for key in keys {
            let answer = self.query(cmd::GET_SERVICE, NlmF::ACK, Some(key), |attributes| {
                services.extend([statistics::of_service(attributes)?]);
                Ok(())
            })?;
            if !matches!(answer.errno, 0 | libc::ESRCH) {
                return Err(KernelError::Refused { query: Query::Service(*key), errno: answer.errno });
            }
        }
        Ok(services)
    }

    fn server_statistics(
        &mut self,
        service: &ServiceKey,
        expected: &mut usize,
    ) -> Result<Table<ServerKey, Statistics>, KernelError> {
        let family = service.family();
        let decode = |attributes: &[u8]| statistics::of_server(attributes, family);
        let check = |list: &Table<ServerKey, Statistics>| cross_check_servers(service, list);
        self.list(Query::Servers(*service), cmd::GET_DEST, Some(service), expected, decode, check)
    }

    /// Sets the counters of a service and its servers to zero, or of all services and the host; gives whether the service was there.
    pub(super) fn zero(&mut self, service: Option<&ServiceKey>) -> Result<bool, KernelError> {
        permitted(&self.permit)?;
        let answer = self.query(cmd::ZERO, NlmF::ACK, service, |_| Ok(()))?;
        self.writes += 1;
        match (answer.errno, service) {
            (0, _) => Ok(true),
            (libc::ESRCH, Some(_)) => Ok(false),
            (errno, service) => Err(KernelError::NotZeroed { service: service.copied(), errno }),
        }
    }
}
