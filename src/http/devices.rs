//! Push registrations: the caller's own, and those of any user for back ends.

use super::dispatch::Weight;
use super::endpoint::{Access, Endpoint, Group, Kind, Parameter, Reply};
use super::error::Problem;
use super::extract::Call;
use super::route::{Answer, json, message};
use super::shape::{Shaped as _, shapes};
use super::state::AppState;
use portcullis_actors::account::{DropDevice, ListDevices, ListedDevice, RegisterDevice, UserDevices};
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{DeviceToken, KeyScope, MobileOs, PushToken};
use portcullis_actors::error::ErrorKind;

shapes! {
    /// Where push messages for a user go.
    struct Device<'a> {
        /// The application that the device is registered in.
        app_id: &'a str = "beyondvip",
        /// The identifier that the app chose.
        device_token: &'a str = "324628746283682634",
        /// Its system, and so the push service: APNs or FCM.
        mobile_os: MobileOs = "ios",
        /// The push token.
        apn_token: Option<&'a str> = "push-1",
        /// When the device was seen last.
        updated_at: Timestamp = "2025-11-24T16:00:00Z",
    }
}

impl<'a> From<&'a ListedDevice> for Device<'a> {
    fn from(ListedDevice { app, device }: &'a ListedDevice) -> Self {
        Self {
            app_id: app.as_str(),
            device_token: device.device_token.as_str(),
            mobile_os: device.mobile_os,
            apn_token: device.push.as_ref().map(PushToken::as_str),
            updated_at: device.seen,
        }
    }
}

fn list_of(devices: &[ListedDevice]) -> Answer {
    json(&devices.iter().map(Device::from).collect::<Vec<_>>())
}

const IN_PATH: Parameter = Parameter::path(
    "device_token",
    Kind::Text(DeviceToken::LONGEST),
    "The identifier of the device, percent-encoded.",
    "324628746283682634",
);

/// The device in the path. An invalid one is answered 422, like a parameter.
fn device_in_path(call: &Call<'_>) -> Result<Result<DeviceToken, ErrorKind>, Problem> {
    let text = call.parameter()?;
    Ok(text.parse::<DeviceToken>().map_err(|why| ErrorKind::invalid("device_token", why.to_string())))
}

pub static REGISTER: Endpoint = Endpoint {
    id: "registerDevice",
    group: Group::Devices,
    summary: "Register or refresh the push token of a device.",
    description: "A push token of an application belongs to one user: the last one to register it. A user has at most 50 devices \
                  in one application; a new one then replaces the least recently seen. Repeating an unchanged registration \
                  costs next to nothing.",
    access: Access::USER,
    parameters: &[
        IN_PATH,
        Parameter::required("mobile_os", Kind::OneOf(&MobileOs::NAMES), "The system of the device.", "ios"),
        Parameter::required(
            "apn_token",
            Kind::Text(PushToken::LONGEST),
            "The push token of the device, from APNs or FCM.",
            "push-1",
        ),
    ],
    answers: &[Reply::json("The device is registered.", Device::SHAPE)],
    errors: &[],
};

/// `PUT /devices/:device_token`
pub async fn register(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&REGISTER)?;
    let device_token = device_in_path(&call)?;
    let credential = incoming.credential()?;
    let mobile_os = fields.required_mobile_os();
    let push = fields.required("apn_token");
    let device_token = device_token?;
    let ask = fields.build(|| Some(RegisterDevice { credential, device_token, mobile_os: mobile_os?, push: push? }))?;
    let device = state.dispatcher.ask(Weight::Ordinary, &state.ports.register_device, ask).await?;
    json(&Device::from(&device))
}

pub static LIST: Endpoint = Endpoint {
    id: "listDevices",
    group: Group::Devices,
    summary: "List the user's push registrations in this application.",
    description: "",
    access: Access::USER,
    parameters: &[],
    answers: &[Reply::json("The devices with a push token.", Vec::<Device<'_>>::SHAPE)],
    errors: &[],
};

/// `GET /devices`
pub async fn list(state: &AppState, mut call: Call<'_>) -> Answer {
    let ask = ListDevices(call.credential(state).await?);
    list_of(&state.dispatcher.ask(Weight::Ordinary, &state.ports.list_devices, ask).await?)
}

pub static DROP: Endpoint = Endpoint {
    id: "dropDevice",
    group: Group::Devices,
    summary: "Drop the push registration of a device.",
    description: "",
    access: Access::USER,
    parameters: &[IN_PATH],
    answers: &[Reply::message("The registration is gone.", "Device dropped.")],
    errors: &[],
};

/// `DELETE /devices/:device_token`
pub async fn drop(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let device_token = device_in_path(&call)?;
    let credential = incoming.credential()?;
    let ask = DropDevice { credential, app: None, device_token: device_token? };
    state.dispatcher.ask(Weight::Ordinary, &state.ports.drop_device, ask).await?;
    message(&DROP)
}

pub static OF_USER: Endpoint = Endpoint {
    id: "listDevicesOfUser",
    group: Group::Devices,
    summary: "Ask where to push for a user.",
    description: "The registrations in the application of the key, for the back end that sends the push messages.",
    access: Access::key(&[KeyScope::DevicesRead]),
    parameters: &[Parameter::path("user_id", Kind::Id, "The id of the user.", "1")],
    answers: &[Reply::json("The devices with a push token.", Vec::<Device<'_>>::SHAPE)],
    errors: &[],
};

/// `GET /users/:id/devices`
pub async fn of_user(state: &AppState, mut call: Call<'_>) -> Answer {
    let user = call.user()?;
    let incoming = call.read(state).await?;
    let credential = incoming.credential().map_err(Problem::for_server_keys)?;
    let ask = UserDevices { credential, user };
    let devices = state.dispatcher.ask(Weight::Ordinary, &state.ports.user_devices, ask).await;
    list_of(&devices.map_err(Problem::for_server_keys)?)
}
